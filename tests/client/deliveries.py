"""A restore worker's side of the delivery area, for tests: real parcels of made-up entries."""

import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import zstandard
from blake3 import blake3

from client.delivery import parcel_name
from client.restore.assembler import Assembler
from client.restore.opener import OpenerTask
from client.restore.target import FolderTarget
from crypto.certificate import ProcessKeys
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.parcel import ChunkInfo, ParcelTable, Piece, write_parcel
from crypto.registry import RESTORE, Enrolled, Registry
from crypto.sealing import Buffer
from sources.filesystem.metadata import Meta, encode


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def meta(kind: str, mode: int = 0o644, **changes: object) -> bytes:
    """Encoded metadata of a thing of ours, changed as the test likes."""
    types = {"f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO}
    plain = Meta(
        kind,  # type: ignore[arg-type]
        types[kind] | mode,
        os.geteuid(),
        os.getegid(),
        "",
        "",
        1_600_000_000_123_456_789,
        1,
        7,
        1,
        0,
        b"",
        [],
    )
    return encode(msgspec.structs.replace(plain, **changes))


@dataclass
class ParcelMaker:
    """Collects chunks and pieces of one parcel."""

    chunks: list[ChunkInfo] = field(default_factory=list)
    payload: list[Buffer] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    listing: bytes = b""

    def chunk(self, data: bytes, codec: int = 1) -> int:
        """Add a chunk; returns its number."""
        packed = zstandard.ZstdCompressor(level=1).compress(data) if codec == 1 else data
        self.chunks.append(ChunkInfo(codec, len(data), len(packed)))
        self.payload.append(packed)
        return len(self.chunks) - 1

    def file(self, path: bytes, data: bytes, **changes: object) -> None:
        """Add a whole file whose bytes are one chunk of their own."""
        extents = (self.chunk(data), 0, len(data)) if data else ()
        self.piece(
            path,
            "f",
            size=len(data),
            digest=blake3(data).digest() if data else b"",
            extents=extents,
            **changes,
        )

    def piece(self, path: bytes, kind: str, **changes: object) -> None:
        """Add any piece; what is not said is that of an empty thing."""
        plain = Piece(path, kind, 0, meta(kind), b"", (), 0, -1, 0, True, ())
        self.pieces.append(msgspec.structs.replace(plain, **changes))

    def table(self, snapshot: bytes = b"") -> ParcelTable:
        return ParcelTable(tuple(self.chunks), tuple(self.pieces), self.listing, snapshot)


class Straight(FolderTarget):
    """Assembles in the folder itself, where a test looks for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def assembler(self, strip: bytes) -> Assembler:
        return Assembler(self._folder, strip)


class Worker:
    """An enrolled restore worker with a requester to deliver to, and a delivery area below `root`."""

    def __init__(self, root: Path) -> None:
        identity = Identity.generate("restore")
        self.registry = Registry().with_identity(enrolled(identity, RESTORE))
        self.keys = ProcessKeys(identity, RESTORE, now_ms())
        self.opening = HpkeKey.generate()
        self.job = os.urandom(16)
        self.area = root / "delivery"
        (self.area / self.job.hex()).mkdir(parents=True)

    def task(self, staging: Path, strip: bytes = b"") -> OpenerTask:
        return OpenerTask(self.registry, self.opening, self.job, self.area.as_uri(), Straight(staging), strip)

    def seal(self, segment: int, sequence: int, maker: ParcelMaker) -> bytes:
        parts = write_parcel(
            self.keys, self.opening.public, self.job, segment, sequence, maker.table(), maker.payload
        )
        return b"".join(parts)

    def deliver(self, segment: int, sequence: int, maker: ParcelMaker) -> Path:
        """Put a parcel where the command looks for it."""
        place = self.area / parcel_name(self.job, segment, sequence)
        place.write_bytes(self.seal(segment, sequence, maker))
        return place


def enrolled(identity: Identity, *roles: str) -> Enrolled:
    """The public half of an identity."""
    return Enrolled(identity.id, identity.name, roles, identity.sign_public, identity.opening.public)


def damage(path: Path, at: int = -1) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def names(failed: Sequence[tuple[bytes, str]]) -> set[bytes]:
    """The paths alone."""
    return {path for path, _ in failed}
