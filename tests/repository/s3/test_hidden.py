"""Snapshots that delete markers hide, in a bucket with versions on a real server."""

import time
from datetime import UTC, datetime

import pytest

from repository import layout
from repository.check import check
from repository.forgets import ANSWERS_S, SKEW_S, drop_old, forgets, write_forget
from repository.hidden import VOID, hidden_snapshots
from repository.needed import needed
from repository.place import S3Place, parse_place
from repository.prunes import write_void
from repository.s3.store import S3Pruner
from repository.walk import Walk
from tests.repository.conftest import Repo
from tests.repository.s3.conftest import NO_WAITING, QUICK
from tests.s3_server import BUCKET, LOCKED, S3Server, next_second

FILES = {b"/a": b"first" * 1000}


@pytest.fixture
def vault(repo: Repo, s3: S3Server, prefix: str) -> Repo:
    """Three snapshots in a bucket with locks, a second apart: that is how fine S3 tells the time."""
    place = parse_place(s3.uri(prefix, LOCKED, lock="governance", retention="1h"))
    assert isinstance(place, S3Place)
    store = S3Pruner(place, QUICK, NO_WAITING, create=True)
    for name in repo.stored(""):
        store.put(name, [(repo.folder / name).read_bytes()])
    repo.store = store  # type: ignore[assignment]
    for number in range(1, 4):
        repo.backup({**FILES, b"/b": b"%d" % number * 3000}, number)
        next_second()
    return repo


def snapshot(number: int) -> str:
    return layout.snapshot_name(number.to_bytes(16, "big"))


def test_nothing_is_hidden_where_nothing_was_removed(vault: Repo) -> None:
    assert hidden_snapshots(vault.subject) == ((), (), True, ())
    report = check(vault.subject, vault.room)
    assert (report.found, report.hidden.names) == (0, ())


def test_an_older_one_that_is_hidden_is_told_and_is_no_damage(vault: Repo) -> None:
    """It may have been forgotten."""
    vault.store.delete(snapshot(2))
    report = check(vault.subject, vault.room)
    assert report.hidden == ((snapshot(2),), (), True, ())
    assert (report.found, report.snapshots) == (0, 2)


@pytest.mark.parametrize("numbers", [(3,), (2, 3), (1, 2, 3)])
def test_if_the_newest_is_hidden_it_is_damage_and_everything_stays_locked(
    vault: Repo, numbers: tuple[int, ...]
) -> None:
    before = set(vault.stored(""))
    for number in numbers:
        vault.store.delete(snapshot(number))
    expected = tuple(snapshot(number) for number in numbers)
    report = check(vault.subject, vault.room)
    assert report.hidden == (expected, expected, True, ())
    assert {problem.object for problem in report.problems} == set(expected)
    with needed(vault.subject, vault.room, Walk()) as found:
        assert set(found.names) == before - set(expected)
        assert found.hidden.newest == expected


def test_one_that_was_brought_back_is_not_hidden(vault: Repo, s3: S3Server, prefix: str) -> None:
    vault.store.delete(snapshot(3))
    client = s3.client()
    (marker,) = client.list_object_versions(Bucket=LOCKED, Prefix=prefix)["DeleteMarkers"]
    client.delete_object(Bucket=LOCKED, Key=marker["Key"], VersionId=marker["VersionId"])
    assert hidden_snapshots(vault.subject).names == ()


def test_an_older_one_that_is_written_again_does_not_become_the_newest(
    vault: Repo, s3: S3Server, prefix: str
) -> None:
    """That takes no key of the vault, only a right to write, and `latest` would be an old state without a word."""
    client, key = s3.client(), f"{prefix}/{snapshot(1)}"
    body = client.get_object(Bucket=LOCKED, Key=key)["Body"].read()
    vault.store.delete(snapshot(3))
    next_second()
    client.put_object(Bucket=LOCKED, Key=key, Body=body)
    assert check(vault.subject, vault.room).hidden.newest == (snapshot(3),)


def test_the_next_backup_is_newer_than_what_is_hidden(vault: Repo) -> None:
    vault.store.delete(snapshot(3))
    vault.backup(FILES, 4)
    assert hidden_snapshots(vault.subject) == ((snapshot(3),), (), True, ())


def test_what_was_hidden_long_ago_is_told_no_more(vault: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.store.delete(snapshot(1))
    later = datetime.now(UTC).timestamp() + 2 * 3600
    monkeypatch.setattr("repository.hidden.time.time", lambda: later)
    assert hidden_snapshots(vault.subject, told_for_s=3600).names == ()
    assert hidden_snapshots(vault.subject, told_for_s=3 * 3600).names == (snapshot(1),)


def test_many_versions_are_listed_in_pages(vault: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.store.delete(snapshot(1))
    monkeypatch.setattr("repository.s3.store._LISTED", 1)
    found = vault.store.versions(layout.SNAPSHOTS)
    assert sorted(each.name for each in found) == [snapshot(1), snapshot(1), snapshot(2), snapshot(3)]
    assert [(each.name, each.latest) for each in found if each.size < 0] == [(snapshot(1), True)]
    assert hidden_snapshots(vault.subject).names == (snapshot(1),)


def test_who_may_not_list_versions_does_not_know(repo: Repo, s3: S3Server, prefix: str) -> None:
    uri = s3.uri(prefix, BUCKET, profile="deliveries")
    store = S3Pruner(parse_place(uri), QUICK, NO_WAITING)  # type: ignore[arg-type]
    assert hidden_snapshots(repo.subject._replace(store=store)).looked is False


def test_a_void_that_a_prune_removed_was_no_snapshot(vault: Repo) -> None:
    assert write_void(vault.store, vault.vault, vault.keys, 1, b"V" * 16, 2**62)
    assert hidden_snapshots(vault.subject).names == ()
    vault.store.delete(layout.snapshot_name(b"V" * 16))
    assert hidden_snapshots(vault.subject).names == ()


def test_a_void_that_lies_on_a_snapshot_hides_it(vault: Repo) -> None:
    """As a prune puts it there, for which a snapshot that somebody hid has never come about."""
    vault.store.delete(snapshot(3))
    assert write_void(vault.store, vault.vault, vault.keys, 1, (3).to_bytes(16, "big"), 2**62)
    assert hidden_snapshots(vault.subject) == ((snapshot(3),), (snapshot(3),), True, ())


def forget(vault: Repo, *numbers: int, epoch: int = 1) -> str:
    """As `forget` does it; returns the name of the record."""
    before = set(vault.stored(layout.PRUNES))
    ids = [number.to_bytes(16, "big") for number in numbers]
    write_forget(vault.store, vault.vault, vault.keys, epoch, time.time_ns() // 1_000_000, ids)
    for number in numbers:
        vault.store.delete(snapshot(number))
    (record,) = set(vault.stored(layout.PRUNES)) - before
    return record


def bring_back(s3: S3Server, prefix: str, name: str) -> None:
    client, key = s3.client(), f"{prefix}/{name}"
    for marker in client.list_object_versions(Bucket=LOCKED, Prefix=key)["DeleteMarkers"]:
        client.delete_object(Bucket=LOCKED, Key=key, VersionId=marker["VersionId"])


def test_what_was_forgotten_is_told_from_what_somebody_hid(vault: Repo) -> None:
    forget(vault, 3)
    report = check(vault.subject, vault.room)
    assert report.hidden == ((), (), True, (snapshot(3),))
    assert (report.found, report.snapshots) == (0, 2)
    with needed(vault.subject, vault.room, Walk()) as found:
        assert found.hidden.forgotten == (snapshot(3),)
        assert len(set(found.names) & set(vault.stored(layout.MANIFESTS))) == 2
    vault.store.delete(snapshot(2))
    report = check(vault.subject, vault.room)
    assert report.hidden == ((snapshot(2),), (snapshot(2),), True, (snapshot(3),))
    assert [problem.object for problem in report.problems] == [snapshot(2)]


def test_a_record_does_not_answer_for_a_marker_of_another_time(
    vault: Repo, s3: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was forgotten, brought back, and hidden by somebody else long after."""
    monkeypatch.setattr("repository.forgets.ANSWERS_S", 1.0)
    monkeypatch.setattr("repository.forgets.SKEW_S", 1.0)
    forget(vault, 3)
    assert hidden_snapshots(vault.subject).forgotten == (snapshot(3),)
    bring_back(s3, prefix, snapshot(3))
    assert hidden_snapshots(vault.subject) == ((), (), True, ())
    time.sleep(4)
    vault.store.delete(snapshot(3))
    assert hidden_snapshots(vault.subject) == ((snapshot(3),), (snapshot(3),), True, ())


def test_a_record_does_not_answer_for_what_was_hidden_before(vault: Repo) -> None:
    vault.store.delete(snapshot(3))
    later = time.time_ns() // 1_000_000 + int(SKEW_S + 60) * 1000
    write_forget(vault.store, vault.vault, vault.keys, 1, later, [(3).to_bytes(16, "big")])
    assert hidden_snapshots(vault.subject).newest == (snapshot(3),)


def test_what_lies_on_a_forgotten_snapshot_since_changes_nothing(
    vault: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prune puts a void there, and takes it away a week later."""
    monkeypatch.setattr("repository.forgets.ANSWERS_S", 1.0)
    monkeypatch.setattr("repository.forgets.SKEW_S", 1.0)
    forget(vault, 3)
    time.sleep(4)
    assert write_void(vault.store, vault.vault, vault.keys, 1, (3).to_bytes(16, "big"), 2**62)
    assert hidden_snapshots(vault.subject) == ((), (), True, (snapshot(3),))
    vault.store.delete(snapshot(3))
    assert hidden_snapshots(vault.subject) == ((), (), True, (snapshot(3),))


def test_a_snapshot_under_a_void_that_cannot_be_removed_is_brought_back_by_a_copy(
    vault: Repo, s3: S3Server, prefix: str
) -> None:
    """As docs/s3.md has it for locks in compliance mode."""
    forget(vault, 2)
    assert write_void(vault.store, vault.vault, vault.keys, 1, (2).to_bytes(16, "big"), 2**62)
    client, key = s3.client(), f"{prefix}/{snapshot(2)}"
    versions = client.list_object_versions(Bucket=LOCKED, Prefix=key)["Versions"]
    (first,) = (each["VersionId"] for each in versions if each["Size"] > VOID)
    source = {"Bucket": LOCKED, "Key": key, "VersionId": first}
    client.copy_object(Bucket=LOCKED, Key=key, CopySource=source)
    report = check(vault.subject, vault.room)
    assert (report.found, report.snapshots, report.hidden) == (0, 3, ((), (), True, ()))


@pytest.mark.parametrize("attack", ["removed", "altered", "renamed", "of another vault", "without a key"])
def test_a_record_that_was_tampered_with_answers_for_nothing(vault: Repo, attack: str) -> None:
    """The worst that can be done to records is a false alarm."""
    name = forget(vault, 3)
    sealed = bytes(vault.store.get(name, 1 << 20))
    vault.store.delete(name)
    if attack == "altered":
        vault.store.put(name, [sealed[:-1] + bytes([sealed[-1] ^ 1])])
    elif attack == "renamed":
        name = layout.forgotten_name(b"R" * 16)
        vault.store.put(name, [sealed])
    elif attack == "of another vault":
        other = vault.vault._replace(vault=b"W" * 16)
        write_forget(
            vault.store, other, vault.keys, 1, time.time_ns() // 1_000_000, [(3).to_bytes(16, "big")]
        )
        (name,) = vault.stored(layout.PRUNES)
    elif attack == "without a key":
        vault.store.put(name, [b"SRM1" + bytes(200)])
    report = check(vault.subject, vault.room)
    assert report.hidden == ((snapshot(3),), (snapshot(3),), True, ())
    expected = {snapshot(3)} if attack == "removed" else {snapshot(3), name}
    assert {problem.object for problem in report.problems} == expected


def test_records_go_when_nothing_is_told_of_them_any_more(vault: Repo) -> None:
    forget(vault, 2)
    (record,) = forgets(*vault.subject, lambda *_: None)
    assert record.snapshots == {snapshot(2)}
    last = record.time_s + ANSWERS_S + SKEW_S + 3600
    drop_old(vault.store, vault.vault, vault.keys, last, 3600)
    assert vault.stored(layout.PRUNES) == [record.name]
    drop_old(vault.store, vault.vault, vault.keys, last + 1, 3600)
    assert vault.stored(layout.PRUNES) == []


def test_voids_and_snapshots_are_told_apart_by_their_size(repo: Repo) -> None:
    repo.commit([])
    write_void(repo.store, repo.vault, repo.keys, 1, b"V" * 16, 2**63 - 1)
    smallest, void = (repo.store.size(name) for name in repo.stored(layout.SNAPSHOTS))
    assert void <= VOID < smallest - len(b"host" + b"/")
