import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from client.errors import Interrupted, JobFailed
from client.restore.pool import OpenerLost
from client.restore.run import Restore
from client.restore.staging import PREFIX
from client.restore.target import FolderTarget
from client.restore.wanted import Wanted
from config.queues import taken_key
from crypto import job as jobs
from crypto import notes
from crypto.job import JobRequest
from crypto.parcel import ParcelTable, write_parcel
from tests.client.deliveries import ParcelMaker, damage
from tests.client.scripted import World

SNAPSHOT = bytes(range(16))


class Deliverer:
    """The restore worker of a scripted world: segments of parcels of files, and the listing of the snapshot."""

    def __init__(self, world: World, segments: list[list[list[bytes]]]) -> None:
        self.world, self.segments = world, segments
        self.spoil: Callable[[int, int, Path], None] = lambda segment, sequence, place: None
        self.silent: set[tuple[int, int]] = set()
        self.snapshot = SNAPSHOT
        self.unheard = 0
        self.listed: Callable[[], list[bytes]] = self._all
        self.failed: tuple[tuple[bytes, str], ...] = ()
        self.end: Callable[[JobRequest], None] = lambda request: world.verdict(request, "done", kms_calls=2)

    def __call__(self, request: JobRequest) -> None:
        if request.kind == jobs.RESTORE:
            self._restore(request)
        elif request.kind == jobs.LIST:
            self._list(request)

    def _restore(self, request: JobRequest) -> None:
        world = self.world
        world.verdict(request, "queued")
        world.note(request, notes.Restoring(SNAPSHOT, len(self.segments)))
        world.note(request, notes.Planned(len(self.segments), 0, 0))
        for segment, parcels in enumerate(self.segments):
            for sequence, paths in enumerate(parcels):
                maker = ParcelMaker()
                for path in paths:
                    maker.file(path, path * 10)
                place = self._put(request, segment, sequence, maker.table(self.snapshot), maker)
                self.spoil(segment, sequence, place)
                if (segment, sequence) not in self.silent:
                    world.note(request, notes.Parcel(segment, sequence, 1))
            failed = self.failed if not segment else ()
            failures = len(failed) + self.unheard
            world.note(request, notes.SegmentDone(segment, len(parcels), failed, failures, self.snapshot))
        self.end(request)

    def _all(self) -> list[bytes]:
        return [path for parcels in self.segments for parcel in parcels for path in parcel]

    def _list(self, request: JobRequest) -> None:
        spec = self.world.spec(request)
        assert isinstance(spec, jobs.ListSpec)
        assert spec.snapshot == SNAPSHOT.hex(), (
            "the snapshot that was restored, not whatever is the latest now"
        )
        lines = b"\n".join(b'{"path": "%s", "type": "file"}' % path for path in self.listed())
        self._put(request, 0, 0, ParcelTable((), (), lines), ParcelMaker())
        self.world.note(request, notes.Parcel(0, 0, 1))
        self.world.note(request, notes.SegmentDone(0, 1, ()))
        self.world.verdict(request, "done")

    def _put(
        self, request: JobRequest, segment: int, sequence: int, table: ParcelTable, maker: ParcelMaker
    ) -> Path:
        spec = self.world.spec(request)
        assert isinstance(spec, jobs.RestoreSpec | jobs.ListSpec)
        area = Path(spec.delivery.removeprefix("file://"))
        parts = write_parcel(
            self.world.keys, spec.requester, request.job, segment, sequence, table, maker.payload
        )
        place = area / request.job.hex() / f"{segment}-{sequence}"
        place.write_bytes(b"".join(parts))
        return place


@pytest.fixture
def deliverer(world: World) -> Deliverer:
    return Deliverer(world, [[[b"/a/1", b"/a/2"], [b"/a/3"]], [[b"/b/1"], [b"/b/2"]]])


def told(world: World, request: JobRequest) -> dict[bytes, bytes]:
    """What the workers of a restore can read of what its command has taken."""
    with world.server.admin() as admin:
        found: dict[bytes, bytes] = admin.hgetall(taken_key(request.job))
    return found


def restore(world: World, target: Path, **wanted: object) -> Restore:
    return Restore(world.session, Wanted(world.vault, "latest", b"", **wanted), FolderTarget(target))  # type: ignore[arg-type]


def tree(target: Path) -> set[bytes]:
    found = {b"/" + os.fsencode(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    for path in found:
        assert (target / os.fsdecode(path[1:])).read_bytes() == path * 10
    return found


ALL = {b"/a/1", b"/a/2", b"/a/3", b"/b/1", b"/b/2"}


def test_everything_is_delivered(world: World, deliverer: Deliverer, tmp_path: Path):
    with world.serving(deliverer):
        done = restore(world, tmp_path / "out").run()
    assert (done.files, done.byte_count, done.failed, done.kms_calls, done.trouble) == (5, 200, {}, 2, None)
    assert done.snapshot == SNAPSHOT.hex()
    assert tree(tmp_path / "out") == ALL
    assert list(world.session.installation.home.delivery.iterdir()) == []
    assert [each.kind for each in world.heard] == [jobs.RESTORE]


def test_files_of_a_damaged_parcel_are_named_one_by_one(world: World, deliverer: Deliverer, tmp_path: Path):
    def spoil(segment: int, sequence: int, place: Path) -> None:
        if (segment, sequence) == (0, 0):
            damage(place)

    deliverer.spoil = spoil
    with world.serving(deliverer):
        done = restore(world, tmp_path / "out").run()
    assert set(done.failed) == {b"/a/1", b"/a/2"}
    assert tree(tmp_path / "out") == ALL - {b"/a/1", b"/a/2"}
    assert done.trouble is None


def test_patterns_are_respected_when_missing_files_are_named(
    world: World, deliverer: Deliverer, tmp_path: Path
):
    deliverer.spoil = lambda segment, sequence, place: place.unlink() if segment == 0 else None
    with world.serving(deliverer):
        done = restore(world, tmp_path / "out", includes=("/a", "/b"), excludes=("2",)).run()
    assert set(done.failed) == {b"/a/1", b"/a/3"}


def test_a_parcel_whose_letter_was_lost_is_found(world: World, deliverer: Deliverer, tmp_path: Path):
    deliverer.silent = {(0, 0), (1, 1)}
    with world.serving(deliverer):
        done = restore(world, tmp_path / "out").run()
    assert done.failed == {}
    assert tree(tmp_path / "out") == ALL


def test_what_the_worker_could_not_deliver_is_named_with_its_reason(
    world: World, deliverer: Deliverer, tmp_path: Path
):
    deliverer.failed = ((b"/a/9", "chunk 1234 is in no pack"),)
    with world.serving(deliverer):
        done = restore(world, tmp_path / "out").run()
    assert done.failed == {b"/a/9": "chunk 1234 is in no pack"}
    assert done.files == 5


def test_two_snapshots_never_make_one_tree(world: World, deliverer: Deliverer, tmp_path: Path):
    deliverer.snapshot = bytes(16)  # not the one that was announced
    with world.serving(deliverer):
        done = restore(world, tmp_path / "out").run()
    assert set(done.failed) == ALL
    assert tree(tmp_path / "out") == set()


def test_parcels_of_another_snapshot_are_not_opened(world: World, deliverer: Deliverer, tmp_path: Path):
    def rename(segment: int, sequence: int, place: Path) -> None:
        deliverer.snapshot = bytes(16) if (segment, sequence) == (0, 0) else SNAPSHOT

    deliverer.spoil = rename  # changes what the next parcel says, and the end of the segment
    with world.serving(deliverer):
        done = restore(world, tmp_path / "out").run()
    assert set(done.failed) == {b"/a/3"}
    assert tree(tmp_path / "out") == ALL - {b"/a/3"}


def test_a_lost_letter_about_failures_is_missed(world: World, deliverer: Deliverer, tmp_path: Path):
    deliverer.unheard = 1
    deliverer.segments[1][0] = []  # this file was named in the letter that is lost
    listed = deliverer.listed
    deliverer.listed = lambda: [*listed(), b"/b/1"]
    with world.serving(deliverer):
        done = restore(world, tmp_path / "out").run()
    assert set(done.failed) == {b"/b/1"}


def test_a_job_that_fails_half_way_keeps_what_is_complete_and_names_the_rest(
    world: World, deliverer: Deliverer, tmp_path: Path
):
    deliverer.end = lambda request: world.verdict(request, "failed", code="kms-key-disabled", message="off")
    deliverer.spoil = lambda segment, sequence, place: place.unlink() if segment == 1 else None
    with world.serving(deliverer):
        done = restore(world, tmp_path / "out").run()
    assert isinstance(done.trouble, JobFailed)
    assert set(done.failed) == {b"/b/1", b"/b/2"}
    assert tree(tmp_path / "out") == {b"/a/1", b"/a/2", b"/a/3"}


def test_ctrl_c_leaves_complete_files_and_nothing_else(world: World, deliverer: Deliverer, tmp_path: Path):
    def interrupt(request: JobRequest) -> None:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    def answer(request: JobRequest) -> None:
        deliverer(request)
        if request.kind == jobs.CANCEL:
            world.verdict(request, "cancelled")

    deliverer.end = interrupt
    with world.serving(answer):
        done = restore(world, tmp_path / "out").run()
    assert isinstance(done.trouble, Interrupted)
    assert tree(tmp_path / "out") == ALL
    assert jobs.CANCEL in [each.kind for each in world.heard]
    # Both segments' parcels were taken, and nobody is here any more.
    assert told(world, world.heard[0]) == {b"0": b"2", b"1": b"2", b"here": b"0"}
    assert list(world.session.installation.home.delivery.iterdir()) == []


def test_a_command_that_is_killed_leaves_no_file_under_its_own_name(
    world: World, deliverer: Deliverer, tmp_path: Path
):
    deliverer.end = lambda request: None
    target = tmp_path / "out"
    child = os.fork()
    if not child:
        restore(world, target).run()
        os._exit(0)
    with world.serving(deliverer):
        wait_for(lambda: len(list(target.rglob("[0-9]"))) == 5)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert [path.name.startswith(PREFIX) for path in target.iterdir()] == [True]
    leftovers = list(world.session.installation.home.delivery.iterdir())
    assert len(leftovers) == 1
    deliverer.end = lambda request: world.verdict(request, "done")
    wait_for(lambda: not _locked(leftovers[0]))
    with world.serving(deliverer):
        restore(world, tmp_path / "again").run()
    assert tree(tmp_path / "again") == ALL
    assert list(world.session.installation.home.delivery.iterdir()) == [], "the next command tidies up"


def test_an_opener_that_is_killed_leaves_no_file_under_its_own_name(
    world: World, deliverer: Deliverer, tmp_path: Path
):
    def stop(segment: int, sequence: int, place: Path) -> None:
        if (segment, sequence) == (1, 1):  # the openers have begun, and cannot be done
            for opener in multiprocessing.active_children():
                os.kill(opener.pid or 0, signal.SIGSTOP)

    def kill(request: JobRequest) -> None:
        world.verdict(request, "done")
        for opener in multiprocessing.active_children():
            opener.kill()

    deliverer.spoil, deliverer.end = stop, kill
    with world.serving(deliverer), pytest.raises(OpenerLost):
        restore(world, tmp_path / "out").run()
    assert list((tmp_path / "out").iterdir()) == []


def wait_for(condition: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(200):
        if condition():
            return
        done.wait(0.05)
    raise AssertionError("it did not come about")


def _locked(folder: Path) -> bool:
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
