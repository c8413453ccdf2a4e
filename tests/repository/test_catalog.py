"""Manifests, snapshots and a job's objects, through the store."""

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.header import Kind
from repository.catalog import (
    finished_segments,
    read_done,
    read_manifest,
    read_plan,
    read_snapshot,
    read_snapshots,
    read_work,
    write_done,
    write_plan,
    write_snapshot,
    write_work,
)
from repository.errors import ObjectDamaged, ObjectExists, ObjectMissing, RepositoryError, WrongObject
from repository.layout import done_name, manifest_name, plan_name, segment_id, snapshot_name, work_name
from repository.manifest import (
    Done,
    Entry,
    Manifest,
    PackSummary,
    Plan,
    Snapshot,
    Stats,
    StoredManifest,
    VaultConfig,
    Work,
    WorkItem,
)
from repository.objects import MAX_SNAPSHOT, parse, put_struct

if TYPE_CHECKING:
    from tests.repository.conftest import Repo

JOB = b"J" * 16
FILES = {b"/a": b"some data", b"/b": b"other data", b"/c": b""}
PLAN = Plan(1, 1, 3, 0, b"", [], [(b"/gone", "vanished")], [(b"/socket", "left out")])


def test_manifests_and_snapshots_come_back(repo: "Repo") -> None:
    snapshot = repo.backup(FILES)
    assert read_snapshot(repo.store, repo.vault, repo.keys, snapshot.id) == snapshot
    found = read_manifest(repo.store, repo.vault, repo.keys, snapshot.manifests[0])
    assert [entry.path for entry in found.entries] == sorted(FILES)


def test_a_manifest_that_breaks_a_rule_is_not_written(repo: "Repo") -> None:
    for bad in (Manifest([Entry(b"relative", "d", 0, b"", b"")], b"", []), Manifest([], b"", [])):
        with pytest.raises(ObjectDamaged):
            repo.put_manifest(bad)
    assert repo.stored("manifests/") == []


def test_a_manifest_is_written_once(repo: "Repo") -> None:
    manifest, _ = repo.segment(FILES)
    repo.put_manifest(manifest)
    with pytest.raises(ObjectExists):
        repo.put_manifest(manifest)


def test_a_manifest_in_anothers_place_is_refused(repo: "Repo") -> None:
    one, two = (repo.put_manifest(repo.segment(FILES)[0], number) for number in (0, 1))
    name = manifest_name(one.id)
    repo.damage(name, lambda _: (repo.folder / manifest_name(two.id)).read_bytes())
    with pytest.raises(WrongObject):
        read_manifest(repo.store, repo.vault, repo.keys, one)


def test_an_older_manifest_of_the_same_id_is_refused(repo: "Repo") -> None:
    old = repo.put_manifest(repo.segment(FILES)[0])
    old_bytes = (repo.folder / manifest_name(old.id)).read_bytes()
    repo.store.delete(manifest_name(old.id))
    new = repo.put_manifest(repo.segment(FILES)[0])
    repo.damage(manifest_name(new.id), lambda _: old_bytes)
    with pytest.raises(ObjectDamaged, match="not the object"):
        read_manifest(repo.store, repo.vault, repo.keys, new)


def test_a_manifest_is_as_its_reference_says(repo: "Repo") -> None:
    ref = repo.put_manifest(repo.segment(FILES)[0])
    with pytest.raises(ObjectDamaged, match="describes"):
        read_manifest(repo.store, repo.vault, repo.keys, msgspec.structs.replace(ref, files=7))
    with pytest.raises(WrongObject, match="epoch"):
        read_manifest(repo.store, repo.vault, repo.keys, msgspec.structs.replace(ref, epoch=2))


def test_a_snapshot_is_committed_once(repo: "Repo") -> None:
    snapshot = repo.backup(FILES)
    with pytest.raises(ObjectExists):
        write_snapshot(repo.store, repo.vault, repo.keys, 1, snapshot)


def test_a_snapshot_that_breaks_a_rule_is_not_written(repo: "Repo") -> None:
    ref = repo.put_manifest(repo.segment(FILES)[0])
    with pytest.raises(ObjectDamaged):
        repo.commit([ref, ref])
    assert repo.stored("snapshots/") == []


def test_a_snapshot_under_another_name_is_refused(repo: "Repo") -> None:
    one, two = repo.backup(FILES, 1), repo.backup(FILES, 2)
    repo.damage(snapshot_name(one.id), lambda _: (repo.folder / snapshot_name(two.id)).read_bytes())
    with pytest.raises(WrongObject):
        read_snapshot(repo.store, repo.vault, repo.keys, one.id)


def test_a_snapshot_that_lies_about_its_id_is_refused(repo: "Repo") -> None:
    snapshot = repo.backup(FILES, 1)
    header = repo.vault.header(Kind.SNAPSHOT, 1, b"x" * 16)
    put_struct(repo.store, snapshot_name(b"x" * 16), repo.keys.dek(1), header, snapshot, MAX_SNAPSHOT)
    with pytest.raises(ObjectDamaged, match="another id"):
        read_snapshot(repo.store, repo.vault, repo.keys, b"x" * 16)


def test_a_damaged_snapshot_does_not_hide_the_others(repo: "Repo") -> None:
    snapshots = [repo.backup(FILES, number) for number in (1, 2, 3)]
    repo.damage(snapshot_name(snapshots[1].id), lambda data: data[:-1])
    found: list[str] = []
    listed = read_snapshots(repo.store, repo.vault, repo.keys, lambda name, _: found.append(name))
    assert listed == [snapshots[0], snapshots[2]]
    assert found == [snapshot_name(snapshots[1].id)]


def test_a_jobs_objects_come_back(repo: "Repo") -> None:
    segment = segment_id(JOB, 1, 2)
    work = Work([WorkItem(b"/a", "f", 9, b"s", 4, 5)])
    done = Done([], [], [(b"/a", "unreadable")], [(b"/s", "socket")], Stats(files_new=1))
    place = (repo.store, repo.vault, repo.keys)
    write_plan(*place, JOB, PLAN)
    write_work(*place, 1, segment, work)
    write_done(*place, 1, segment, done)
    assert read_plan(*place, JOB) == PLAN
    assert read_work(*place, segment) == work
    assert read_done(*place, segment) == done
    assert repo.stored("jobs/") == sorted([plan_name(JOB), work_name(JOB, 1, 2), done_name(JOB, 1, 2)])


def test_the_first_done_counts(repo: "Repo") -> None:
    segment = segment_id(JOB, 1, 2)
    write_done(repo.store, repo.vault, repo.keys, 1, segment, Done([], [], [], [], Stats(1)))
    with pytest.raises(ObjectExists):
        write_done(repo.store, repo.vault, repo.keys, 1, segment, Done([], [], [], [], Stats(2)))
    assert read_done(repo.store, repo.vault, repo.keys, segment).stats.files_new == 1


def test_a_done_of_another_segment_or_attempt_is_refused(repo: "Repo") -> None:
    write_done(repo.store, repo.vault, repo.keys, 1, segment_id(JOB, 1, 2), Done([], [], [], [], Stats()))
    body = (repo.folder / done_name(JOB, 1, 2)).read_bytes()
    for other in (segment_id(JOB, 1, 3), segment_id(JOB, 2, 2), segment_id(b"K" * 16, 1, 2)):
        name = done_name(other[:16], int.from_bytes(other[16:20], "big"), int.from_bytes(other[20:], "big"))
        (repo.folder / name).parent.mkdir(exist_ok=True)
        (repo.folder / name).write_bytes(body)
        with pytest.raises(WrongObject):
            read_done(repo.store, repo.vault, repo.keys, other)


def test_what_is_finished_is_known_from_the_listing(repo: "Repo") -> None:
    done = Done([], [], [], [], Stats())
    for fence, number in ((1, 0), (1, 12), (11, 3), (2, 5)):
        write_done(repo.store, repo.vault, repo.keys, 1, segment_id(JOB, fence, number), done)
    assert finished_segments(repo.store, JOB, 1) == {0, 12}
    assert finished_segments(repo.store, JOB, 11) == {3}
    assert finished_segments(repo.store, b"K" * 16, 1) == set()


def test_a_key_holder_who_breaks_the_rules_is_refused(repo: "Repo") -> None:
    segment = segment_id(JOB, 1, 0)
    place = (repo.store, repo.vault, repo.keys)
    write_work(*place, 1, segment, Work([WorkItem(b"/a/../b", "f", 0, b"")]))
    with pytest.raises(ObjectDamaged):
        read_work(*place, segment)
    write_done(*place, 1, segment, Done([], [PackSummary(b"P" * 16, 1, 16384, b"")], [], [], Stats()))
    with pytest.raises(ObjectDamaged):
        read_done(*place, segment)
    header = repo.vault.header(Kind.PLAN, 1, JOB)
    other = msgspec.structs.replace(PLAN, epoch=2)
    put_struct(repo.store, plan_name(JOB), repo.keys.dek(1), header, other, 10_000)
    with pytest.raises(ObjectDamaged, match="another epoch"):
        read_plan(*place, JOB)
    work_id = segment_id(JOB, 1, 1)
    header = repo.vault.header(Kind.WORK, 1, work_id)
    put_struct(repo.store, work_name(JOB, 1, 1), repo.keys.dek(1), header, Work([], epoch=2), 10_000)
    with pytest.raises(ObjectDamaged, match="another epoch"):
        read_work(*place, work_id)


def test_missing_objects_are_missing(repo: "Repo") -> None:
    place = (repo.store, repo.vault, repo.keys)
    for read in (
        lambda: read_plan(*place, JOB),
        lambda: read_work(*place, segment_id(JOB, 1, 0)),
        lambda: read_done(*place, segment_id(JOB, 1, 0)),
        lambda: read_snapshot(*place, JOB),
    ):
        with pytest.raises(ObjectMissing):
            read()


@pytest.mark.parametrize("kind", [StoredManifest, Snapshot, Plan, Work, Done, VaultConfig])
@given(
    data=st.one_of(
        st.binary(max_size=100),
        st.recursive(
            st.none() | st.integers(-(1 << 63), (1 << 64) - 1) | st.binary(max_size=40) | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=12),
            max_leaves=30,
        ).map(msgspec.msgpack.encode),
    )
)
def test_random_bodies_are_refused_and_nothing_worse(kind: type[msgspec.Struct], data: bytes) -> None:
    try:
        value = parse(kind, data, "name", 10_000)
    except RepositoryError:
        return
    assert msgspec.msgpack.encode(value) == data  # lawful by chance: then it is canonical


def test_a_snapshot_that_is_forgotten_meanwhile_is_no_damage(repo: "Repo") -> None:
    snapshots = [repo.backup({b"/a": b"a"}, number) for number in range(3)]

    class Forgetful:
        """A listing that is older than a removal."""

        def list(self, prefix: str) -> list[str]:
            names = repo.stored(prefix)
            repo.store.delete(names[1])
            return names

        def __getattr__(self, name: str) -> object:
            return getattr(repo.store, name)

    damaged: list[str] = []
    store = Forgetful()
    found = read_snapshots(store, repo.vault, repo.keys, lambda name, _: damaged.append(name))  # type: ignore[arg-type]
    assert [each.id for each in found] == [snapshots[0].id, snapshots[2].id]
    assert damaged == []


def test_a_snapshot_whose_key_is_gone_is_told(repo: "Repo") -> None:
    snapshot = repo.backup({b"/a": b"a"})

    class Keyless:
        """A repository without its wrapped key."""

        def dek(self, epoch: int) -> object:
            raise ObjectMissing("there is no such key")

    damaged: list[str] = []
    keys = Keyless()
    assert read_snapshots(repo.store, repo.vault, keys, lambda name, _: damaged.append(name)) == []  # type: ignore[arg-type]
    assert damaged == [snapshot_name(snapshot.id)]
