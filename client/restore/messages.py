"""What the command and its opener processes say to each other over a pipe."""

import msgspec


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    pass


class Take(_Message, frozen=True):
    """Open this parcel.

    `heard_ms`: when its note arrived, by which its certificate is judged. `snapshot`: what it has to be from.
    """

    segment: int
    sequence: int
    heard_ms: int
    snapshot: bytes = b""


class EndSegment(_Message, frozen=True):
    """Every parcel of the segment was named: report on it."""

    segment: int


class Took(_Message, frozen=True):
    """The parcel is done with; `trouble` says why it could not be opened, or is empty."""

    segment: int
    sequence: int
    files: int
    byte_count: int
    trouble: str


class LinkName(msgspec.Struct, frozen=True, array_like=True):
    """A delivered thing that had several names: those of equal device, inode, size and digest are one."""

    path: bytes
    device: int
    inode: int
    size: int
    digest: bytes


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A verified part of a file that several segments write."""

    path: bytes
    size: int
    offset: int
    length: int
    meta: bytes


class SegmentReport(_Message, frozen=True):
    """How a segment went. `failed` and `notes` are pairs of path and text; `dirs` of path and encoded Meta."""

    segment: int
    failed: tuple[tuple[bytes, str], ...]
    notes: tuple[tuple[bytes, str], ...]
    dirs: tuple[tuple[bytes, bytes], ...]
    links: tuple[LinkName, ...]
    parts: tuple[Part, ...]


Order = Take | EndSegment
Answer = Took | SegmentReport

encode = msgspec.msgpack.Encoder().encode
decode_order = msgspec.msgpack.Decoder(Order).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode
