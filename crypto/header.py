"""The canonical header: what a sealed object is, and the context that it is sealed under.

Because the header is the context of the seal, an object that was swapped, re-labelled, taken from another vault or
from another epoch does not open (docs/format.md, "Header").
"""

import struct
from enum import IntEnum
from typing import NamedTuple

from crypto.errors import HeaderMismatch, Malformed, UnknownFormat

MAGIC = b"SRM1"
FORMAT_VERSION = 1
SUITE_COBBLESTONE_256 = 0x0001
SUITE_FLOOR = 0x0001
"""Suites below this are refused whatever an object says, so that nobody can talk a reader into a weaker one."""

ID_BYTES = 16
MAX_OBJECT_ID = 32
MAX_EPOCH = 0xFFFF_FFFF
_FIXED = struct.Struct(">4sHH16s16sIBB")
MAX_HEADER = _FIXED.size + MAX_OBJECT_ID


class Kind(IntEnum):
    """What a sealed object is; part of its context, so that one kind never opens as another."""

    VAULT = 1
    CHUNK = 2
    PACK = 3
    PACK_TABLE = 4
    PACK_FOOTER = 5
    INDEX = 6
    MANIFEST = 7
    SNAPSHOT = 8
    PLAN = 9
    WORK = 10
    DONE = 11
    MARK = 12
    SWEEP = 13
    VOID = 14
    FORGOTTEN = 15


class Header(NamedTuple):
    """Version and suite are constants of this release; the rest says which object this is."""

    tenant: bytes
    vault: bytes
    epoch: int
    kind: Kind
    object_id: bytes

    def encode(self) -> bytes:
        """46 bytes and the object id (16 to 32 bytes): the clear prefix of an object and the context of its seal.

        Raises:
            Malformed: an id or the epoch is not one. Packing would pad or cut it, and two vaults could share a context.
        """
        if not (
            len(self.tenant) == len(self.vault) == ID_BYTES
            and ID_BYTES <= len(self.object_id) <= MAX_OBJECT_ID
            and 1 <= self.epoch <= MAX_EPOCH
        ):
            raise Malformed("a header has ids of 16 bytes, an object id of 16 to 32, and an epoch from 1")
        return (
            _FIXED.pack(
                MAGIC,
                FORMAT_VERSION,
                SUITE_COBBLESTONE_256,
                self.tenant,
                self.vault,
                self.epoch,
                self.kind,
                len(self.object_id),
            )
            + self.object_id
        )

    @classmethod
    def decode(cls, data: bytes | memoryview) -> tuple["Header", int]:
        """Read a header from the beginning of an object.

        Returns:
            The header, and how many bytes it took.

        Raises:
            UnknownFormat: not a Strongroom object, or of a version, suite or kind that this release does not know.
        """
        if len(data) < _FIXED.size or bytes(data[:4]) != MAGIC:
            raise UnknownFormat(
                "this is not a Strongroom object", remedy="check that the URI names a repository"
            )
        _, version, suite, tenant, vault, epoch, kind, length = _FIXED.unpack(data[: _FIXED.size])
        if version != FORMAT_VERSION:
            raise UnknownFormat(
                f"format version {version} is not known here (this release reads {FORMAT_VERSION})",
                remedy="use a newer release of Strongroom",
            )
        if suite != SUITE_COBBLESTONE_256 or suite < SUITE_FLOOR:
            raise UnknownFormat(f"cipher suite {suite:#06x} is not accepted")
        if kind not in Kind._value2member_map_:
            raise UnknownFormat(f"object kind {kind} is not known here")
        end = _FIXED.size + length
        if not ID_BYTES <= length <= MAX_OBJECT_ID or len(data) < end:
            raise UnknownFormat("the header is cut short")
        if not epoch:
            raise UnknownFormat("there is no epoch 0")
        return cls(tenant, vault, epoch, Kind(kind), bytes(data[_FIXED.size : end])), end

    def require(self, expected: "Header") -> None:
        """Refuse a header that is not the expected one, saying what differs.

        Raises:
            HeaderMismatch: naming the first difference.
        """
        if self == expected:
            return
        if (self.tenant, self.vault) != (expected.tenant, expected.vault):
            raise HeaderMismatch(
                "the object belongs to another vault",
                remedy="check which repository this vault is attached to",
            )
        if self.kind != expected.kind:
            raise HeaderMismatch(
                f"the object is a {self.kind.name.lower()}, not a {expected.kind.name.lower()}"
            )
        if self.epoch != expected.epoch:
            raise HeaderMismatch(f"the object is of epoch {self.epoch}, not {expected.epoch}")
        raise HeaderMismatch("the object is another one of its kind")
