"""One dump against a scripted scheduler and worker: in order, whole, or an error."""

import io
from pathlib import Path

import pytest

from client.dump.run import Dump, Dumped
from client.dump.sink import Content
from client.errors import DumpBroken, JobFailed
from client.restore.wanted import Wanted
from config.queues import HERE, LEFT, taken_key
from crypto import job as jobs
from crypto import notes
from crypto.job import JobRequest
from crypto.parcel import Piece, write_parcel
from tests.client.deliveries import ParcelMaker
from tests.client.scripted import World

SNAPSHOT = bytes(range(16))
PATHS = [[b"/a/1", b"/a/2"], [b"/b/1"]]


class Everything(Content):
    """Notes each file with its bytes, and how it ended."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), b"")
        self.files: dict[bytes, bytes] = {}
        self.ended = ""
        self._at = b""

    def begin(self, piece: Piece, meta: object) -> None:
        self._at = piece.path
        self.files[self._at] = b""

    def write(self, data: memoryview) -> None:
        self.files[self._at] += bytes(data)

    def close(self) -> None:
        self.ended = "closed"

    def spoil(self) -> None:
        self.ended = "spoilt"


class Deliverer:
    """Delivers each file in a parcel of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.unnamed: set[tuple[int, int]] = set()
        self.ended = {0, 1}
        self.failed: tuple[tuple[bytes, str], ...] = ()
        self.failures = 0
        self.code = ""

    def __call__(self, request: JobRequest) -> None:
        world, spec = self.world, self.world.spec(request)
        assert isinstance(spec, jobs.RestoreSpec)
        assert spec.in_order
        assert spec.following
        area = Path(spec.delivery.removeprefix("file://")) / request.job.hex()
        world.verdict(request, "queued")
        world.note(request, notes.Restoring(SNAPSHOT, len(PATHS), 5))
        for segment, paths in reversed(
            list(enumerate(PATHS))
        ):  # the first that comes is not the first there is
            for sequence, path in enumerate(paths):
                maker = ParcelMaker()
                maker.file(path, path * 10)
                table = maker.table(SNAPSHOT)
                parts = write_parcel(
                    world.keys, spec.requester, request.job, segment, sequence, table, maker.payload
                )
                (area / f"{segment}-{sequence}").write_bytes(b"".join(parts))
                if (segment, sequence) not in self.unnamed:
                    world.note(request, notes.Parcel(segment, sequence, 1))
            if segment in self.ended:
                failed = self.failed if not segment else ()
                count = len(failed) + (self.failures if not segment else 0)
                world.note(request, notes.SegmentDone(segment, len(paths), failed, count, SNAPSHOT))
        world.verdict(request, "failed" if self.code else "done", code=self.code, message="no")


def dump(world: World, deliverer: Deliverer) -> tuple[Dumped, Everything]:
    sink = Everything()
    made = Dump(world.session, Wanted(world.vault, "latest", b""), lambda first: sink)
    try:
        with world.serving(deliverer):
            return made.run(), sink
    except BaseException as error:
        error.add_note(sink.ended)
        raise


def test_everything_comes_in_the_order_of_the_snapshot(world: World) -> None:
    done, sink = dump(world, Deliverer(world))
    assert done == (SNAPSHOT.hex(), 3, 120, {})
    assert list(sink.files.items()) == [(path, path * 10) for paths in PATHS for path in paths]
    assert sink.ended == "closed"


def test_a_lost_word_about_a_parcel_is_made_up_for(world: World) -> None:
    deliverer = Deliverer(world)
    deliverer.unnamed = {(0, 1), (1, 0)}
    assert dump(world, deliverer)[0].files == 3


def test_what_could_not_be_delivered_is_named_and_the_rest_is_whole(world: World) -> None:
    deliverer = Deliverer(world)
    deliverer.failed = ((b"/a/lost", "its pack is missing"),)
    done, sink = dump(world, deliverer)
    assert (done.failed, sink.ended) == ({b"/a/lost": "its pack is missing"}, "closed")


@pytest.mark.parametrize("lost", ["end", "names"])
def test_what_was_lost_on_the_way_spoils_the_dump(world: World, lost: str) -> None:
    deliverer = Deliverer(world)
    if lost == "end":
        deliverer.ended = {0}
    else:
        deliverer.failures = 1
    with pytest.raises(DumpBroken) as broken:
        dump(world, deliverer)
    assert broken.value.remedy
    assert broken.value.__notes__ == ["spoilt"]


def test_workers_are_told_when_nobody_takes_parcels_any_more(world: World) -> None:
    deliverer = Deliverer(world)
    deliverer.ended, deliverer.code = set(), "source-gone"
    with pytest.raises(JobFailed):
        dump(world, deliverer)
    with world.server.admin() as admin:
        found = admin.hgetall(taken_key(world.heard[0].job))
    assert found[HERE.encode()] == LEFT
