"""A sealed object opens only as what it is (guarantee 9 of the design)."""

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto.header import Kind
from crypto.sealing import seal
from repository.access import VaultId
from repository.errors import (
    ObjectDamaged,
    ObjectMissing,
    RepositoryError,
    TooLarge,
    UnknownFormat,
    VaultMismatch,
    WrongObject,
)
from repository.manifest import Plan
from repository.objects import any_epoch, get_object, open_object, parse, put_object

if TYPE_CHECKING:
    from tests.repository.conftest import Repo

ID = b"I" * 16
LIMIT = 100_000


def put(
    repo: "Repo", name: str = "a", kind: Kind = Kind.PLAN, epoch: int = 1, body: bytes = b"body"
) -> bytes:
    header = repo.vault.header(kind, epoch, ID)
    return put_object(repo.store, name, repo.keys.dek(epoch), header, body, LIMIT).digest


def read(repo: "Repo", name: str = "a", kind: Kind = Kind.PLAN, object_id: bytes = ID) -> bytes:
    return open_object(repo.store, name, repo.keys, any_epoch(repo.vault, kind, object_id), LIMIT).body


@pytest.mark.parametrize("body", [b"", b"x", b"text " * 10_000])
def test_what_was_put_is_read(repo: "Repo", body: bytes) -> None:
    put(repo, body=body)
    assert read(repo) == body
    header = repo.vault.header(Kind.PLAN, 1, ID)
    assert get_object(repo.store, "a", repo.keys.dek(1), header, LIMIT) == body


def test_nothing_of_the_body_is_in_the_store(repo: "Repo") -> None:
    put(repo, body=b"/home/customer/file name")
    assert b"customer" not in (repo.folder / "a").read_bytes()


def test_the_epoch_is_taken_from_the_object(repo: "Repo") -> None:
    put(repo, epoch=2)
    assert open_object(repo.store, "a", repo.keys, any_epoch(repo.vault, Kind.PLAN, ID), LIMIT).epoch == 2
    with pytest.raises(WrongObject, match="epoch"):
        get_object(repo.store, "a", repo.keys.dek(1), repo.vault.header(Kind.PLAN, 1, ID), LIMIT)


def test_another_kind_or_id_or_vault_is_refused(repo: "Repo") -> None:
    put(repo)
    with pytest.raises(WrongObject, match="plan, not a work"):
        read(repo, kind=Kind.WORK)
    with pytest.raises(WrongObject):
        read(repo, object_id=b"X" * 16)
    for other in (VaultId(b"T" * 16, b"W" * 16), VaultId(b"U" * 16, b"V" * 16)):
        with pytest.raises(VaultMismatch):
            open_object(repo.store, "a", repo.keys, any_epoch(other, Kind.PLAN, ID), LIMIT)


@pytest.mark.parametrize("field", ["tenant", "vault", "kind", "epoch", "id"])
def test_a_relabelled_object_does_not_open(repo: "Repo", field: str) -> None:
    """Its clear header was made to say what the reader expects; the seal still knows better."""
    other = {
        "tenant": VaultId(b"U" * 16, b"V" * 16).header(Kind.PLAN, 1, ID),
        "vault": VaultId(b"T" * 16, b"W" * 16).header(Kind.PLAN, 1, ID),
        "kind": repo.vault.header(Kind.WORK, 1, ID),
        "epoch": repo.vault.header(Kind.PLAN, 2, ID),
        "id": repo.vault.header(Kind.PLAN, 1, b"X" * 16),
    }[field]
    repo.keys.deks[2] = repo.keys.deks[1]  # the worst case: even the key is the same
    put_object(repo.store, "a", repo.keys.dek(1), other, b"body", LIMIT)
    mine = repo.vault.header(Kind.PLAN, 1, ID).encode()
    repo.damage("a", lambda data: mine + data[len(mine) :])
    with pytest.raises(ObjectDamaged):
        read(repo)


@pytest.mark.parametrize(("at", "value"), [(0, b"X"), (5, b"\2"), (7, b"\0"), (7, b"\2"), (44, b"\x63")])
def test_unknown_versions_suites_and_kinds_are_refused(repo: "Repo", at: int, value: bytes) -> None:
    put(repo)
    repo.damage("a", lambda data: data[:at] + value + data[at + 1 :])
    with pytest.raises(UnknownFormat, match=r"^a: "):
        read(repo)


def test_no_byte_can_be_changed_or_cut_off(repo: "Repo") -> None:
    put(repo, body=b"some body")
    original = (repo.folder / "a").read_bytes()
    for at in range(len(original)):
        flipped = original[:at] + bytes([original[at] ^ 1]) + original[at + 1 :]
        for data in (flipped, original[:at]):
            (repo.folder / "a").write_bytes(data)
            with pytest.raises((RepositoryError, KeyError)):
                read(repo)
    (repo.folder / "a").write_bytes(original + b"x")
    with pytest.raises(ObjectDamaged):
        read(repo)
    (repo.folder / "a").write_bytes(original)
    assert read(repo) == b"some body"


def test_an_object_in_anothers_place_is_refused_by_its_digest(repo: "Repo") -> None:
    digest = put(repo)
    put(repo, name="b", body=b"older")  # genuine, same kind and id: a rollback
    repo.damage("a", lambda _: (repo.folder / "b").read_bytes())
    with pytest.raises(ObjectDamaged, match="not the object"):
        open_object(repo.store, "a", repo.keys, any_epoch(repo.vault, Kind.PLAN, ID), LIMIT, digest)


def test_limits_hold_on_both_sides(repo: "Repo") -> None:
    with pytest.raises(TooLarge):
        put(repo, body=bytes(LIMIT + 1))
    with pytest.raises(ObjectMissing):
        read(repo)
    put(repo, body=bytes(LIMIT))
    assert len(read(repo)) == LIMIT
    with pytest.raises(ObjectDamaged):  # it is small in the store, and would be too large unfolded
        open_object(repo.store, "a", repo.keys, any_epoch(repo.vault, Kind.PLAN, ID), LIMIT - 1)


@pytest.mark.parametrize("plain", [b"", b"\2body", b"\1not zstd", b"\1"])
def test_a_key_holders_nonsense_is_refused(repo: "Repo", plain: bytes) -> None:
    context = repo.vault.header(Kind.PLAN, 1, ID).encode()
    repo.store.put("a", [context, seal(repo.keys.dek(1), context, plain)])
    with pytest.raises((UnknownFormat, ObjectDamaged)):
        read(repo)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=300), headed=st.booleans())
def test_random_bytes_are_refused_and_nothing_worse(repo: "Repo", data: bytes, headed: bool) -> None:
    start = repo.vault.header(Kind.PLAN, 1, ID).encode() if headed else b""
    (repo.folder / "a").write_bytes(start + data)
    with pytest.raises(RepositoryError):
        read(repo)


@given(st.binary(max_size=200))
def test_a_body_that_is_no_struct_is_damaged(data: bytes) -> None:
    try:
        plan = parse(Plan, data, "a", 1000)
    except ObjectDamaged:
        return
    assert msgspec.msgpack.encode(plan) == data
