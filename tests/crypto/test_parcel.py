import os
import struct

import msgspec
import pytest
import rich.pretty
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import canonical, hpke, parcel
from crypto.certificate import LIFETIME_MS, ProcessKeys, ProcessSigned
from crypto.errors import CryptoError, Expired, Malformed, SealBroken, Untrusted
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.parcel import ChunkInfo, OpenParcel, ParcelHead, ParcelTable, Piece
from crypto.registry import RESTORE, ROLES, Registry
from crypto.sealing import seal
from crypto.secret import SecretKey
from crypto.signing import Domain
from tests.crypto.world import NOW, World, damaged, enrol

JOB, OTHER_JOB = os.urandom(16), os.urandom(16)
WORKER = Identity.generate("restore")
REGISTRY = Registry(identities=(enrol(WORKER, RESTORE),))
PROCESS = ProcessKeys(WORKER, RESTORE, NOW)
REQUESTER = HpkeKey.generate()
PIECE = Piece(b"/home/secret-plans", "f", 9, b"meta", b"d" * 32, (), 0, -1, 0, True, (0, 0, 4, 1, 0, 5))
TABLE = ParcelTable((ChunkInfo(0, 4, 4), ChunkInfo(0, 5, 5)), (PIECE,), b"")
PAYLOAD = (b"four", b"fives")
Parts = tuple[bytes, bytes]


def write(
    job: bytes = JOB,
    segment: int = 2,
    sequence: int = 7,
    table: ParcelTable = TABLE,
    keys: ProcessKeys = PROCESS,
    requester: HpkeKey = REQUESTER,
) -> bytes:
    return b"".join(parcel.write_parcel(keys, requester.public, job, segment, sequence, table, PAYLOAD))


def read(data: bytes, now_ms: int = NOW, registry: Registry = REGISTRY) -> OpenParcel:
    return parcel.read_parcel(registry, memoryview(data), JOB, 2, 7, REQUESTER, now_ms)


def split(data: bytes) -> Parts:
    """The encoded head, and the sealed body."""
    (length,) = struct.unpack(">I", data[:4])
    return data[4 : 4 + length], data[4 + length :]


def join(head: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(head)) + head + body


def head_of(data: bytes) -> ParcelHead:
    return canonical.decode(ParcelHead, canonical.decode(ProcessSigned, split(data)[0]).message.body)


def sign(head: ParcelHead, keys: ProcessKeys = PROCESS) -> bytes:
    return canonical.encode(keys.sign(Domain.PARCEL, head))


def handmade(plain: bytes, requester: HpkeKey = REQUESTER) -> bytes:
    """A parcel by an enrolled restore worker that may hold anything."""
    key = SecretKey.generate()
    bound = parcel._bound(JOB, 2, 7)
    head = ParcelHead(1, JOB, 2, 7, hpke.seal_to(requester.public, bound, key.view()))
    return join(sign(head), seal(key, bound, plain))


GOOD = write()


def test_parcel_reaches_its_requester() -> None:
    opened = read(GOOD)
    assert (opened.table, bytes(opened.payload)) == (TABLE, b"fourfives")


def test_parcel_in_transit_shows_only_ids() -> None:
    for word in (b"secret-plans", b"four", b"meta"):
        assert word not in GOOD


def test_parcels_of_the_same_bytes_have_different_keys() -> None:
    assert head_of(GOOD).key != head_of(write()).key
    assert split(GOOD)[1] != split(write())[1]


@pytest.mark.parametrize(
    "place", [{"job": OTHER_JOB}, {"segment": 1}, {"segment": 3}, {"sequence": 6}, {"sequence": 8}]
)
def test_parcel_in_the_place_of_another_is_refused(place: dict[str, bytes | int]) -> None:
    other = write(**place)  # type: ignore[arg-type]
    with pytest.raises(Untrusted):
        read(other)
    # Also when an enrolled worker signs that it belongs here: the seals are bound to the place.
    moved = msgspec.structs.replace(head_of(other), job=JOB, segment=2, sequence=7)
    with pytest.raises(SealBroken):
        read(join(sign(moved), split(other)[1]))


def test_parcel_of_another_version_is_refused() -> None:
    for version in (0, 2):
        changed = msgspec.structs.replace(head_of(GOOD), version=version)
        with pytest.raises(Untrusted):
            read(join(sign(changed), split(GOOD)[1]))


def test_head_and_body_of_two_parcels_do_not_mix() -> None:
    with pytest.raises(SealBroken):
        read(join(split(GOOD)[0], split(write())[1]))


def test_parcel_to_another_requester_does_not_open() -> None:
    with pytest.raises(SealBroken):
        read(write(requester=HpkeKey.generate()))


@pytest.mark.parametrize("role", [role for role in ROLES if role != RESTORE])
def test_only_restore_workers_write_parcels(world: World, role: str) -> None:
    with pytest.raises(Untrusted):
        read(write(keys=world.process(role)), registry=world.registry)


def test_parcel_is_judged_at_the_time_it_was_announced() -> None:
    with pytest.raises(Expired):
        read(GOOD, now_ms=NOW + LIFETIME_MS + 1)
    assert read(GOOD, now_ms=NOW + LIFETIME_MS).table == TABLE


@pytest.mark.parametrize("domain", [domain for domain in Domain if domain != Domain.PARCEL])
def test_what_a_worker_signs_for_another_end_is_no_parcel(domain: Domain) -> None:
    with pytest.raises(Untrusted):
        read(join(canonical.encode(PROCESS.sign(domain, head_of(GOOD))), split(GOOD)[1]))


@given(damaged(GOOD) | st.binary(max_size=300))
def test_altered_parcel_is_refused(data: bytes) -> None:
    with pytest.raises(CryptoError):
        read(data)


def test_parcel_cut_anywhere_is_refused() -> None:
    for length in range(0, len(GOOD), 7):
        with pytest.raises(CryptoError):
            read(GOOD[:length])


@pytest.mark.parametrize("claim", [0, 1, parcel.MAX_HEAD + 1, 2**32 - 1])
def test_lie_about_the_heads_length_is_malformed(claim: int) -> None:
    with pytest.raises(Malformed):
        read(struct.pack(">I", claim) + GOOD[4:])


@given(st.binary(max_size=100) | damaged(struct.pack(">I", 300) + canonical.encode(TABLE) + b"fourfives"))
def test_well_sealed_nonsense_is_malformed_or_adds_up(plain: bytes) -> None:
    try:
        opened = read(handmade(plain))
    except Malformed:
        return
    assert sum(chunk.length for chunk in opened.table.chunks) == len(opened.payload)


@pytest.mark.parametrize(
    "chunks",
    [
        (ChunkInfo(0, 4, 4),),  # less than the payload
        (ChunkInfo(0, 4, 4), ChunkInfo(0, 6, 6)),  # more
        (ChunkInfo(0, 4, -1), ChunkInfo(0, 10, 10)),  # adds up, backwards
        (ChunkInfo(0, -4, 4), ChunkInfo(0, 5, 5)),
        (ChunkInfo(1, 1 << 60, 4), ChunkInfo(0, 5, 5)),  # wants all memory there is
    ],
)
def test_table_that_does_not_add_up_is_malformed(chunks: tuple[ChunkInfo, ...]) -> None:
    with pytest.raises(Malformed):
        read(write(table=msgspec.structs.replace(TABLE, chunks=chunks)))


@pytest.mark.parametrize("claim", [2**32 - 1, parcel.MAX_TABLE + 1, 200])
def test_lie_about_the_tables_length_is_malformed(claim: int) -> None:
    with pytest.raises(Malformed):
        read(handmade(struct.pack(">I", claim) + canonical.encode(TABLE) + b"fourfives"))


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_sealed_key_that_is_no_key_is_malformed(size: int) -> None:
    sealed = hpke.seal_to(REQUESTER.public, parcel._bound(JOB, 2, 7), bytes(size))
    head = msgspec.structs.replace(head_of(GOOD), key=sealed)
    with pytest.raises(Malformed):
        read(join(sign(head), split(GOOD)[1]))


@pytest.mark.parametrize(("segment", "sequence"), [(-1, 0), (0, -1), (2**32, 0), (0, 2**32)])
def test_impossible_number_is_malformed(segment: int, sequence: int) -> None:
    with pytest.raises(Malformed):
        write(segment=segment, sequence=sequence)
    data = join(sign(ParcelHead(1, JOB, segment, sequence, b"")), split(GOOD)[1])
    with pytest.raises(Malformed):
        parcel.read_parcel(REGISTRY, memoryview(data), JOB, segment, sequence, REQUESTER, NOW)


def test_parcel_that_no_reader_would_accept_is_not_written() -> None:
    zeros = memoryview(bytes(1 << 20))
    with pytest.raises(Malformed, match="large"):
        parcel.write_parcel(PROCESS, REQUESTER.public, JOB, 2, 7, TABLE, [zeros] * (parcel.MAX_PARCEL >> 20))


def test_piece_shows_no_path() -> None:
    for text in (repr(TABLE), f"{[PIECE]}", rich.pretty.pretty_repr(TABLE), str(read(GOOD))):
        assert "Piece" in text
        assert "secret-plans" not in text


@settings(max_examples=20)
@given(st.lists(st.binary(max_size=20_000), max_size=4))
def test_any_payload_survives(payload: list[bytes]) -> None:
    table = ParcelTable(tuple(ChunkInfo(0, len(each), len(each)) for each in payload), (), b"listing")
    parts = parcel.write_parcel(PROCESS, REQUESTER.public, JOB, 2, 7, table, payload)
    opened = read(b"".join(parts))
    assert (opened.table, bytes(opened.payload)) == (table, b"".join(payload))
