"""`check` finds each kind of damage and names what it touches; the damage set is restic's (notes, case N)."""

import random
from typing import TYPE_CHECKING

import pytest

from crypto.job import MILLIONTHS, Subset
from repository import layout
from repository.check import EVERYTHING, STRUCTURE, CheckReport, Reading, check
from repository.compression import RAW
from repository.errors import StoreUnreachable
from repository.findings import Loss, Touched
from repository.index import Index, write_indexes
from repository.manifest import Entry, Manifest
from repository.measure import MeasuredReader, Meter
from repository.pack import RECORD
from repository.prunes import Names, write_sweep, write_void
from repository.walk import Far, Progress

if TYPE_CHECKING:
    from tests.repository.conftest import Repo

DATA = random.Random(3).randbytes(120_000)
FILES = {b"/a": DATA[:30_000], b"/b": DATA[30_000:90_000], b"/c": DATA[90_000:], b"/d": b""}


def run(
    repo: "Repo", *, read_data: bool = True, reading: Reading | None = None, progress: Progress | None = None
) -> CheckReport:
    reading = reading or (EVERYTHING if read_data else STRUCTURE)
    return check(repo.subject, repo.room, reading, progress)


def touched(report: CheckReport) -> set[tuple[bytes, bytes]]:
    return {(place.snapshot, place.first) for problem in report.problems for place in problem.touched}


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_good_repository_has_no_problems(repo: "Repo") -> None:
    repo.backup(FILES, 1)
    repo.backup({**FILES, b"/e": b"more"}, 2)
    for read_data in (False, True):
        report = run(repo, read_data=read_data)
        assert report.problems == []
        assert (report.snapshots, report.manifests, report.packs) == (2, 2, 2)
        assert report.chunks_read == (report.chunks if read_data else 0)
        assert (report.unused_packs, report.unused_chunks, report.unused_manifests) == (0, 0, 0)


def test_an_empty_vault_has_no_problems(repo: "Repo") -> None:
    assert run(repo).problems == []


def test_progress_is_told(repo: "Repo") -> None:
    repo.backup(FILES)
    steps: list[Far] = []
    run(repo, read_data=True, progress=steps.append)
    assert steps == sorted(steps), "never back"
    last = steps[-1]
    assert last.objects == last.all_objects
    (pack,) = repo.stored("packs/")
    assert last.byte_count == last.all_bytes == repo.store.size(pack)


def test_a_missing_pack_touches_all_its_files(repo: "Repo") -> None:
    snapshot = repo.backup(FILES)
    (name,) = repo.stored("packs/")
    repo.store.delete(name)
    report = run(repo, read_data=False)
    (problem,) = report.problems
    assert (problem.object, problem.text) == (name, "the pack is missing")
    assert touched(report) == {(snapshot.id, path) for path in (b"/a", b"/b", b"/c")}


def test_a_truncated_pack_is_found_without_reading_data(repo: "Repo") -> None:
    repo.backup(FILES)
    (name,) = repo.stored("packs/")
    repo.damage(name, lambda data: data[:-1])
    (problem,) = run(repo, read_data=False).problems
    assert problem.object == name
    assert "bytes" in problem.text
    assert problem.touched


def test_a_flipped_bit_in_a_chunk_touches_its_files_only(repo: "Repo") -> None:
    snapshot = repo.backup(FILES)
    (name,) = repo.stored("packs/")
    _, offset, sealed, _, _ = RECORD.unpack_from(repo.tables()[0].records, 0)
    repo.damage(name, lambda data: flip(data, offset + sealed - 1))
    assert run(repo, read_data=False).problems == []
    report = run(repo)
    (problem,) = report.problems
    assert (problem.object, problem.text) == (name, "a chunk does not open")
    assert touched(report) == {(snapshot.id, b"/a")}


def test_a_flipped_bit_in_a_packs_table_is_found(repo: "Repo") -> None:
    repo.backup(FILES)
    (name,) = repo.stored("packs/")
    repo.damage(name, lambda data: flip(data, len(data) - 1))
    (problem,) = run(repo).problems
    assert problem.object == name
    assert problem.touched == []  # the index still knows where the chunks are


def test_a_missing_index_leaves_chunks_unknown(repo: "Repo") -> None:
    snapshot = repo.backup(FILES)
    repo.store.delete(repo.stored("index/")[0])
    report = run(repo)
    assert all(problem.text == "no pack is known to hold it" for problem in report.problems)
    assert touched(report) == {(snapshot.id, path) for path in (b"/a", b"/b", b"/c")}
    assert report.unused_packs == 1


def test_a_damaged_index_is_named(repo: "Repo") -> None:
    repo.backup(FILES)
    (name,) = repo.stored("index/")
    repo.damage(name, lambda data: data[:-1])
    assert name in {problem.object for problem in run(repo).problems}


def test_a_duplicate_index_is_no_problem(repo: "Repo") -> None:
    repo.backup(FILES)
    write_indexes(repo.store, repo.vault, repo.keys, 1, b"K" * 16, 1, [repo.tables()[0]])
    assert run(repo).problems == []


def test_a_damaged_snapshot_is_named_and_the_other_checked(repo: "Repo") -> None:
    repo.backup(FILES, 1)
    other = repo.backup(FILES, 2)
    name = layout.snapshot_name(other.id)
    repo.damage(name, lambda data: flip(data, 100))
    report = run(repo)
    assert [problem.object for problem in report.problems] == [name]
    assert report.snapshots == 1


def test_a_void_is_no_damaged_snapshot(repo: "Repo") -> None:
    repo.backup(FILES, 1)
    write_void(repo.store, repo.vault, repo.keys, 1, b"V" * 16, 1)
    report = run(repo)
    assert (report.found, report.snapshots, report.damaged_snapshots) == (0, 1, 0)


def swept(repo: "Repo", *packs: str) -> str:
    """As a prune leaves it for a week; returns the sweep's name."""
    names = Names(frozenset(map(layout.id_of, packs)), frozenset())
    write_sweep(repo.store, repo.vault, repo.keys, 1, b"P" * 16, 1, names)
    return layout.sweep_name(b"P" * 16)


@pytest.mark.parametrize("read_data", [False, True])
def test_a_pack_that_a_prune_removed_and_somebody_brought_back_is_as_lost_as_for_a_restore(
    repo: "Repo", *, read_data: bool
) -> None:
    snapshot = repo.backup(FILES)
    (pack,) = repo.stored("packs/")
    sweep = swept(repo, pack)
    report = run(repo, read_data=read_data)
    (problem,) = report.problems
    assert problem.object == pack
    assert problem.text == f"a prune removed it; what was brought back is not used: {sweep} names it"
    assert touched(report) == {(snapshot.id, path) for path in (b"/a", b"/b", b"/c")}
    assert report.losses == [Loss(snapshot.id, 0, 3, 4)]
    repo.store.delete(sweep)
    assert run(repo, read_data=read_data).problems == []


def test_a_pack_that_is_going_and_whose_chunks_are_in_another_already_is_no_damage(repo: "Repo") -> None:
    """A sweep that is at work beside the check has not rewritten the index yet."""
    repo.backup(FILES)
    (pack,) = repo.stored("packs/")
    repo.publish(repo.segment(FILES, Index())[1])
    swept(repo, pack)
    assert run(repo).problems == []


def test_what_a_sweep_names_and_no_snapshot_needs_is_no_damage(repo: "Repo") -> None:
    repo.backup(FILES, 1)
    unused = repo.segment({b"/x": DATA[::-1]})[1]
    repo.publish(unused)
    swept(repo, *(layout.pack_name(each.id) for each in unused))
    assert run(repo).problems == []


def test_a_sweep_that_cannot_be_read_is_named(repo: "Repo") -> None:
    """Nothing can be restored while it is there."""
    repo.backup(FILES)
    sweep = swept(repo, *repo.stored("packs/"))
    repo.damage(sweep, lambda data: data[:-1])
    assert [problem.object for problem in run(repo).problems] == [sweep]


def test_a_missing_manifest_touches_its_span_of_the_snapshot(repo: "Repo") -> None:
    snapshot = repo.backup(FILES)
    (name,) = repo.stored("manifests/")
    repo.store.delete(name)
    (problem,) = run(repo).problems
    assert problem.object == name
    assert problem.touched == [Touched(snapshot.id, b"/a", b"/d")]


def test_a_manifest_that_two_snapshots_share_touches_both(repo: "Repo") -> None:
    ref = repo.backup(FILES, 1).manifests[0]
    repo.commit([ref], 2)
    repo.store.delete(repo.stored("manifests/")[0])
    (problem,) = run(repo).problems
    assert len(problem.touched) == 2


def test_wrong_content_behind_a_right_id_is_found_by_reading(repo: "Repo") -> None:
    """By a holder of the key: everything is sealed as it should be, and the chunk is not what its id says."""
    index, packs = Index(), repo.packs()
    wrong = repo.ids.name(b"right content")
    packs.add(wrong, b"wrong content", 13, RAW)
    summary = packs.flush(repo.store)
    assert summary is not None
    index.add_pack(summary)
    write_indexes(repo.store, repo.vault, repo.keys, 1, b"J" * 16, 1, [summary])
    entry = Entry(b"/a", "f", 13, b"", b"", [0, 0, 13], b"d" * 32)
    snapshot = repo.commit([repo.put_manifest(Manifest([entry], wrong, [13]))])
    assert run(repo, read_data=False).problems == []
    report = run(repo)
    (problem,) = report.problems
    assert problem.text == "a chunk does not hold what its id says"
    assert touched(report) == {(snapshot.id, b"/a")}


def test_a_length_that_index_and_manifest_differ_about_is_found(repo: "Repo") -> None:
    manifest, packs = repo.segment({b"/a": b"some data"})
    write_indexes(repo.store, repo.vault, repo.keys, 1, b"J" * 16, 1, packs)
    entry = Entry(b"/a", "f", 8, b"", b"", [0, 0, 8], b"d" * 32)
    repo.commit([repo.put_manifest(Manifest([entry], manifest.chunk_ids, [8]))])
    (problem,) = run(repo, read_data=False).problems
    assert "differ about the length" in problem.text


@pytest.mark.parametrize("name", [layout.CHUNK_ID_KEY, layout.dek_name(1)])
def test_a_damaged_key_record_is_found(repo: "Repo", name: str) -> None:
    repo.damage(name, lambda data: data[:-1])
    assert [problem.object for problem in run(repo).problems] == [name]


def test_a_missing_configuration_is_found(repo: "Repo") -> None:
    repo.store.delete(layout.CONFIG)
    assert [problem.object for problem in run(repo).problems] == [layout.CONFIG]


def test_a_missing_chunk_id_key_is_found(repo: "Repo") -> None:
    repo.store.delete(layout.CHUNK_ID_KEY)
    assert [problem.object for problem in run(repo).problems] == [layout.CHUNK_ID_KEY]


def test_a_missing_key_is_found_whatever_is_in_memory(repo: "Repo") -> None:
    """Its DEK is at hand, as in a worker's cache, and opens everything: the wrapped key is gone for all others."""
    repo.backup(FILES)
    repo.store.delete(layout.dek_name(1))
    (problem,) = run(repo).problems
    assert problem.object == layout.dek_name(1)


def test_strays_are_named(repo: "Repo") -> None:
    repo.backup(FILES)
    (pack,) = repo.stored("packs/")
    for name in ("packs/zz/stray", "packs/00/" + "ff" * 16, "index/stray", "snapshots/stray"):
        (repo.folder / name).parent.mkdir(exist_ok=True)
        (repo.folder / name).write_bytes(b"x")
    assert {problem.object for problem in run(repo).problems} == {
        "packs/zz/stray",
        "packs/00/" + "ff" * 16,
        "index/stray",
        "snapshots/stray",
    }
    assert pack in repo.stored("packs/")


def test_what_nobody_uses_is_counted_and_no_problem(repo: "Repo") -> None:
    repo.backup({b"/a": b"used"}, 1)
    manifest, packs = repo.segment({b"/b": DATA})
    repo.put_manifest(manifest, 9)
    report = run(repo)
    assert report.problems == []
    assert (report.unused_packs, report.unused_manifests) == (1, 1)
    assert report.unused_bytes == packs[0].size


def test_a_store_that_does_not_answer_is_no_finding(repo: "Repo", monkeypatch: pytest.MonkeyPatch) -> None:
    repo.backup(FILES)

    def gone(*_: object) -> int:
        raise StoreUnreachable("gone")

    monkeypatch.setattr(repo.store, "size", gone)
    with pytest.raises(StoreUnreachable):
        run(repo)


def packs_of(repo: "Repo", count: int) -> None:
    for number in range(count):
        repo.backup({b"/%d" % number: random.Random(number).randbytes(3000)}, number)
    assert len(repo.stored("packs/")) == count


def test_the_parts_are_different_packs_and_together_all_of_them(repo: "Repo") -> None:
    packs_of(repo, 12)
    parts = [run(repo, reading=Reading(True, Subset(part=n, parts=3))) for n in (1, 2, 3)]
    assert sum(part.packs_read for part in parts) == 12
    assert sum(part.chunks_read for part in parts) == parts[0].chunks
    (victim, *_) = repo.stored("packs/")
    repo.damage(victim, lambda data: flip(data, 200))
    again = [run(repo, reading=Reading(True, Subset(part=n, parts=3))) for n in (1, 2, 3)]
    assert [part.packs_read for part in again] == [part.packs_read for part in parts], "the same ones"
    assert sorted(len(part.problems) for part in again) == [0, 0, 1]


@pytest.mark.parametrize(
    ("subset", "count"),
    [
        (Subset(share=MILLIONTHS // 2), 6),
        (Subset(share=1), 1),
        (Subset(share=MILLIONTHS), 12),
        (Subset(size=3 * (1 << 14)), 3),
        (Subset(size=1 << 60), 12),
        (Subset(size=1), 1),
    ],
)
def test_as_many_packs_are_drawn_as_are_asked_for(repo: "Repo", subset: Subset, count: int) -> None:
    packs_of(repo, 12)
    report = run(repo, reading=Reading(True, subset))
    assert (report.packs_read, report.problems) == (count, [])
    assert report.bytes_read == count * (1 << 14)


def test_each_draw_is_another(repo: "Repo") -> None:
    packs_of(repo, 12)
    (victim, *_) = repo.stored("packs/")
    repo.damage(victim, lambda data: flip(data, 200))
    seen = {len(run(repo, reading=Reading(True, Subset(share=MILLIONTHS // 2))).problems) for _ in range(60)}
    assert seen == {0, 1}


def test_a_backup_that_is_committed_meanwhile_is_no_damage(repo: "Repo") -> None:
    repo.backup(FILES, 1)
    steps: list[Far] = []

    def another(far: Far) -> None:
        steps.append(far)
        if len(steps) == 1:
            repo.backup({b"/new": DATA[::-1]}, 2)

    assert run(repo, progress=another).problems == []
    assert len(repo.stored("snapshots/")) == 2


def test_a_chunk_that_is_in_two_packs_is_named_if_one_is_bad_and_lost_if_both_are(repo: "Repo") -> None:
    snapshot = repo.backup(FILES, 1)
    packs = repo.stored("packs/")
    _, copies = repo.segment(FILES, Index())
    repo.publish(copies)
    assert run(repo).problems == []
    (other,) = set(repo.stored("packs/")) - set(packs)
    for name in (other, packs[0]):
        good = (repo.folder / name).read_bytes()
        repo.store.delete(name)
        report = run(repo)
        assert [problem.object for problem in report.problems] == [name]
        assert (touched(report), report.losses) == (set(), [])
        (repo.folder / name).write_bytes(good)
        repo.damage(name, lambda data: flip(data, 300))
        report = run(repo)
        assert [problem.object for problem in report.problems] == [name]
        assert (touched(report), report.losses) == (set(), [])
        (repo.folder / name).write_bytes(good)
    repo.store.delete(other)
    repo.store.delete(packs[0])
    report = run(repo)
    assert {problem.object for problem in report.problems} == {other, packs[0]}
    assert touched(report) == {(snapshot.id, path) for path in (b"/a", b"/b", b"/c")}


def test_what_each_snapshot_loses_is_counted(repo: "Repo") -> None:
    ref = repo.backup(FILES, 1).manifests[0]
    repo.backup({b"/e": b"other"}, 2)
    both = repo.commit([ref, repo.put_manifest(repo.segment({b"/f": b"more"})[0], 8)], 3)
    assert run(repo, read_data=False).losses == [Loss(both.id, 3, 1, 5)], "f has no index object"
    _, offset, sealed, _, _ = RECORD.unpack_from(repo.tables()[0].records, 0)
    (name,) = {layout.pack_name(repo.loaded().locate(each).pack) for each in ids_of(repo, DATA[:30_000])}
    repo.damage(name, lambda data: flip(data, offset + sealed - 1))
    losses = run(repo).losses
    assert [(loss.time_ns, loss.files, loss.all_files) for loss in losses] == [(1, 1, 4), (3, 2, 5)]


def ids_of(repo: "Repo", data: bytes) -> list[bytes]:
    manifest, _ = repo.segment({b"/x": data}, repo.loaded())
    return [manifest.chunk_ids[:32]]


def test_every_object_that_is_looked_at_is_a_sign_of_life(repo: "Repo") -> None:
    """Between two of them is no more than one manifest with its bases, or one pack's own reads."""
    for number in range(5):
        repo.backup({b"/%d" % number: random.Random(number).randbytes(3000)}, number)
    between: list[int] = [0]

    class Counting(MeasuredReader):
        def get(self, name: str, limit: int) -> bytes:
            between[-1] += 1
            return super().get(name, limit)

    subject = repo.subject._replace(store=Counting(repo.store, Meter()))
    check(subject, repo.room, EVERYTHING, lambda _: between.append(0))
    assert sum(between) > 3 * 5
    # At the beginning also the configuration and the records of two keys.
    assert max(between) <= 4
