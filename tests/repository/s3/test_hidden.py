"""Snapshots that delete markers hide, in a bucket with versions on a real server."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from repository import layout
from repository.check import check
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
    assert hidden_snapshots(vault.store) == ((), (), True)
    report = check(vault.subject, vault.room)
    assert (report.found, report.hidden.names) == (0, ())


def test_an_older_one_that_is_hidden_is_told_and_is_no_damage(vault: Repo) -> None:
    """It may have been forgotten."""
    vault.store.delete(snapshot(2))
    report = check(vault.subject, vault.room)
    assert report.hidden == ((snapshot(2),), (), True)
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
    assert report.hidden == (expected, expected, True)
    assert {problem.object for problem in report.problems} == set(expected)
    with needed(vault.subject, vault.room, Walk()) as found:
        assert set(found.names) == before - set(expected)
        assert found.hidden.newest == expected


def test_one_that_was_brought_back_is_not_hidden(vault: Repo, s3: S3Server, prefix: str) -> None:
    vault.store.delete(snapshot(3))
    client = s3.client()
    (marker,) = client.list_object_versions(Bucket=LOCKED, Prefix=prefix)["DeleteMarkers"]
    client.delete_object(Bucket=LOCKED, Key=marker["Key"], VersionId=marker["VersionId"])
    assert hidden_snapshots(vault.store).names == ()


def test_the_next_backup_is_newer_than_what_is_hidden(vault: Repo) -> None:
    vault.store.delete(snapshot(3))
    vault.backup(FILES, 4)
    assert hidden_snapshots(vault.store) == ((snapshot(3),), (), True)


def test_what_was_hidden_long_ago_is_told_no_more(vault: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.store.delete(snapshot(1))
    later = datetime.now(UTC).timestamp() + 2 * 3600
    monkeypatch.setattr("repository.hidden.time.time", lambda: later)
    assert hidden_snapshots(vault.store, told_for_s=3600).names == ()
    assert hidden_snapshots(vault.store, told_for_s=3 * 3600).names == (snapshot(1),)


def test_many_versions_are_listed_in_pages(vault: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.store.delete(snapshot(1))
    monkeypatch.setattr("repository.s3.store._LISTED", 1)
    found = vault.store.versions(layout.SNAPSHOTS)
    assert sorted(each.name for each in found) == [snapshot(1), snapshot(1), snapshot(2), snapshot(3)]
    assert [(each.name, each.latest) for each in found if each.size < 0] == [(snapshot(1), True)]
    assert hidden_snapshots(vault.store).names == (snapshot(1),)


def test_who_may_not_list_versions_does_not_know(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    uri = s3.uri(prefix, BUCKET, profile="deliveries")
    store = S3Pruner(parse_place(uri), QUICK, NO_WAITING)  # type: ignore[arg-type]
    assert hidden_snapshots(store).looked is False


def test_a_void_that_a_prune_removed_was_no_snapshot(vault: Repo) -> None:
    assert write_void(vault.store, vault.vault, vault.keys, 1, b"V" * 16, 2**62)
    assert hidden_snapshots(vault.store).names == ()
    vault.store.delete(layout.snapshot_name(b"V" * 16))
    assert hidden_snapshots(vault.store).names == ()


def test_a_void_that_lies_on_a_snapshot_hides_it(vault: Repo) -> None:
    """As a prune puts it there, for which a snapshot that somebody hid has never come about."""
    vault.store.delete(snapshot(3))
    assert write_void(vault.store, vault.vault, vault.keys, 1, (3).to_bytes(16, "big"), 2**62)
    assert hidden_snapshots(vault.store) == ((snapshot(3),), (snapshot(3),), True)


def test_voids_and_snapshots_are_told_apart_by_their_size(repo: Repo) -> None:
    repo.commit([])
    write_void(repo.store, repo.vault, repo.keys, 1, b"V" * 16, 2**63 - 1)
    smallest, void = (repo.store.size(name) for name in repo.stored(layout.SNAPSHOTS))
    assert void <= VOID < smallest - len(b"host" + b"/")
