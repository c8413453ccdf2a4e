"""Sealed metadata objects: a clear header, then one Cobblestone-256 message over a codec byte and the body.

docs/format.md, "Sealed object". The header is the context of the seal, so an object opens only as what it
says it is, and the reader refuses it unless that is what was asked for.
"""

from typing import NamedTuple, TypeVar

import msgspec
import zstandard
from blake3 import blake3

from crypto.canonical import decode, encode
from crypto.errors import HeaderMismatch, Malformed, SealBroken
from crypto.errors import UnknownFormat as UnknownHeader
from crypto.header import MAX_HEADER, Header, Kind
from crypto.sealing import open_sealed, seal, sealed_length
from crypto.secret import SecretKey
from repository.access import KeyRing, VaultId
from repository.compression import CODECS, RAW, Compressor, Decompressor
from repository.errors import ObjectDamaged, TooLarge, UnknownFormat, VaultMismatch, WrongObject
from repository.store import ReadStore, WriteStore

MIB = 1 << 20
# Limits of the plain bodies; a writer keeps to them and a reader refuses more.
MAX_VAULT = 4 * 1024
MAX_INDEX = 64 * MIB
MAX_MANIFEST = 128 * MIB
MAX_SNAPSHOT = 64 * MIB
MAX_PLAN = 64 * MIB
MAX_WORK = 128 * MIB
MAX_DONE = 64 * MIB
MAX_PRUNE = 64 * MIB
MAX_VOID = 1024

T = TypeVar("T")


class Stored(NamedTuple):
    """What was written: BLAKE3 of the stored bytes (32 bytes), and how many they are."""

    digest: bytes
    size: int


class Opened(NamedTuple):
    """A verified object: its epoch and its plain body."""

    epoch: int
    body: bytes


def put_object(
    store: WriteStore, name: str, key: SecretKey, header: Header, body: bytes, limit: int
) -> Stored:
    """Compress, seal and create one object.

    Args:
        key: the DEK of `header.epoch`.
        limit: the most plain bytes that this kind may have (a MAX_ constant of this module).

    Raises:
        TooLarge: the body breaks the limit.
        StoreError: the store refused; ObjectExists when the name is taken.
    """
    if len(body) > limit:
        raise TooLarge(f"a {header.kind.name.lower()} of {len(body)} bytes is over the limit of {limit}")
    context = header.encode()
    codec, payload = Compressor().compress(memoryview(body))
    sealed = seal(key, context, (bytes([codec]), payload))
    store.put(name, [context, sealed])
    return Stored(blake3(context).update(sealed).digest(), len(context) + len(sealed))


def get_object(store: ReadStore, name: str, key: SecretKey, expected: Header, limit: int) -> bytes:
    """Read, check and open the object that `expected` describes, under a key the caller has already.

    Raises:
        ObjectMissing, StoreError: from the store.
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: the object is not to be trusted.
    """
    data = store.get(name, stored_limit(limit))
    header, start = check_header(data, name, expected)
    return _open(data, start, name, key, header, limit)


def open_object(
    store: ReadStore,
    name: str,
    keys: KeyRing,
    expected: Header,
    limit: int,
    digest: bytes | None = None,
) -> Opened:
    """Like `get_object`, for an object whose epoch is only known from itself.

    Args:
        keys: asked for the DEK of the epoch that the header names.
        expected: its `epoch` counts only if it is not 0.
        digest: BLAKE3 that the stored bytes must have, when a trusted object names it.

    Raises:
        ObjectMissing, StoreError: from the store.
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: the object is not to be trusted.
        StrongroomError: the key ring has no key for the epoch.
    """
    # 1. No more bytes than the kind may have.
    return open_data(store.get(name, stored_limit(limit)), name, keys, expected, limit, digest)


def open_data(
    data: bytes, name: str, keys: KeyRing, expected: Header, limit: int, digest: bytes | None = None
) -> Opened:
    """`open_object` of bytes that were read already, no more than the kind may have.

    Raises:
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged, StrongroomError: as `open_object`.
    """
    # 2. The header is known, and of this vault, kind and id.
    header, start = check_header(data, name, expected)
    # 3. The bytes are those that a trusted object vouches for.
    if digest is not None and blake3(data).digest() != digest:
        raise ObjectDamaged(
            f"{name} is not the object that its snapshot names", remedy="run `strongroom check`"
        )
    # 4. The seal opens under the epoch's key with the header as its context; 5. the body has the size it
    # states.
    return Opened(header.epoch, _open(data, start, name, keys.dek(header.epoch), header, limit))


def stored_limit(limit: int) -> int:
    """The most bytes in the store that `limit` plain bytes can take."""
    return MAX_HEADER + sealed_length(1 + limit)


def check_header(data: bytes | memoryview, name: str, expected: Header) -> tuple[Header, int]:
    """The header at the beginning of an object, refused unless it is the expected one (epoch 0: any epoch).

    Raises:
        UnknownFormat: of an unknown version, suite or kind, or no object of Strongroom.
        VaultMismatch: of another tenant or vault.
        WrongObject: of another kind, id or epoch.
    """
    try:
        header, length = Header.decode(data)
    except UnknownHeader as error:
        raise UnknownFormat(f"{name}: {error.message}", remedy=error.remedy) from error
    if header.epoch < 1:
        raise UnknownFormat(f"{name}: epoch 0 does not exist")
    try:
        header.require(expected if expected.epoch else expected._replace(epoch=header.epoch))
    except HeaderMismatch as error:
        foreign = (header.tenant, header.vault) != (expected.tenant, expected.vault)
        raise (VaultMismatch if foreign else WrongObject)(
            f"{name}: {error.message}", remedy=error.remedy
        ) from error
    return header, length


def put_struct(
    store: WriteStore, name: str, key: SecretKey, header: Header, value: msgspec.Struct, limit: int
) -> Stored:
    """`put_object` of a struct's canonical encoding.

    Raises:
        TooLarge, StoreError: see `put_object`.
    """
    return put_object(store, name, key, header, encode(value), limit)


def parse(kind: type[T], body: bytes, name: str, limit: int) -> T:
    """The struct that a body holds.

    Raises:
        ObjectDamaged: not the canonical encoding of one `kind`.
    """
    try:
        return decode(kind, body, limit=limit)
    except Malformed as error:
        raise ObjectDamaged(f"{name}: {error.message}") from error


def _open(data: bytes, start: int, name: str, key: SecretKey, header: Header, limit: int) -> bytes:
    try:
        plain = open_sealed(key, header.encode(), memoryview(data)[start:])
    except SealBroken as error:
        raise ObjectDamaged(f"{name}: {error.message}", remedy="run `strongroom check`") from error
    if not plain or plain[0] not in CODECS:
        raise UnknownFormat(
            f"{name}: its codec is not known here", remedy="use a newer release of Strongroom"
        )
    payload = memoryview(plain)[1:]
    if plain[0] == RAW:
        return bytes(payload)
    return _inflate(payload, name, plain[0], limit)


def _inflate(payload: memoryview, name: str, codec: int, limit: int) -> bytes:
    try:
        size = zstandard.frame_content_size(payload)
    except zstandard.ZstdError as error:
        raise ObjectDamaged(f"{name}: no compressed data where they should be") from error
    if not 0 <= size <= limit:
        raise ObjectDamaged(
            f"{name}: its body would have {size} bytes, more than the {limit} that its kind may have"
        )
    try:
        return bytes(Decompressor().decompress(codec, payload, size))
    except ObjectDamaged as error:
        raise ObjectDamaged(f"{name}: {error.message}") from error


def any_epoch(vault: VaultId, kind: Kind, object_id: bytes) -> Header:
    """What to expect of an object whose epoch is only known from itself."""
    return vault.header(kind, 0, object_id)
