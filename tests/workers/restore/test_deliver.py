"""A segment's delivery, with a real repository, broker and requester: what it reads, how far it runs ahead, and when
it stops. Into a folder, and into a bucket of a real S3 server."""

import os
import random
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from client.broker import Publisher
from client.delivery import ParcelReader
from client.restore import following as following_module
from client.restore.assembler import Assembler
from client.restore.following import Following
from config.home import Home
from config.queues import CLIENT, notes_list, over_key
from config.queues import RESTORE as ROLE
from config.queues import SCHEDULER as BROKER_OF_SCHEDULER
from config.settings import DeliverySettings, Settings
from crypto import canonical, notes
from crypto.dek_cache import Slot
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.job import RestoreSpec
from crypto.keyrecord import DEK
from crypto.parcel import read_parcel
from crypto.registry import RESTORE, SCHEDULER, Registry
from crypto.ticket import DECRYPT, Ticket, end, issue
from repository.errors import StoreUnreachable
from repository.measure import MeasuredReader, Meter
from repository.store import ReadStore
from repository.stores import open_reader
from tests.client.deliveries import enrolled, meta, now_ms
from tests.repository.conftest import SMALL, Repo, repo
from tests.s3_server import DELIVERIES, S3Server
from workers.admission import Job, Stray
from workers.lists import Lists
from workers.process import Process
from workers.reporting import Reporter
from workers.restore import batch as batch_module
from workers.restore import pace as pace_module
from workers.restore.deliver import deliver_segment
from workers.restore.pace import AHEAD, AHEAD_IN_BUCKET, RequesterGone
from workers.restore.session import RestoreProcess, RestoreSession
from workers.role import RoleContext
from workers.stack.passwords import Passwords
from workers.stack.valkey import Valkey

__all__ = ["repo"]

CONTENT = random.Random(3).randbytes(300 * SMALL.largest)
FILES = {b"/big": CONTENT, b"/note": b"a few words", b"/zero": bytes(100)}


class Noting(Reporter):
    """Remembers what it tells the requester."""

    noted: list[notes.Note]

    def note(self, note: notes.Note) -> None:
        self.noted.append(note)
        super().note(note)


class Delivering:
    """A restore worker's process and one job of it, whose requester is here as well."""

    def __init__(
        self, root: Path, repo: Repo, path: bytes = b"", *, area: str = "", following: bool = False
    ) -> None:
        repo.meta = meta("f")
        self.snapshot = repo.backup(FILES).id
        self.home = Home(root / "home")
        self.home.create()
        self._valkey = Valkey(root, root / "valkey.log")
        passwords = Passwords([ROLE, CLIENT, BROKER_OF_SCHEDULER])
        self._valkey.configure(passwords)
        self.pid = self._valkey.start()
        self._valkey.wait(self.pid)
        worker, self.scheduler = Identity.generate(RESTORE), Identity.generate(SCHEDULER)
        self.registry = Registry().with_identity(enrolled(worker, RESTORE))
        self.registry = self.registry.with_identity(enrolled(self.scheduler, SCHEDULER))
        (self.home.identities / ROLE).write_bytes(worker.encode())
        self.home.registry_file.write_bytes(self.registry.encode())
        url = self._valkey.url(ROLE, passwords[ROLE])
        self.requesters = self._valkey.url(CLIENT, passwords[CLIENT])
        self.area = area or self.home.delivery.as_uri()
        settings = msgspec.structs.replace(Settings(), delivery=DeliverySettings(areas=(self.area,)))
        self.process = Process(RoleContext(ROLE, self.home, settings, url, lambda: None, one_shot=True))
        self.process.start()
        slot = Slot(*repo.vault, DEK, 1, DECRYPT)
        self.process.cache.get(slot, lambda: repo.keys.dek(1))
        self.opening = HpkeKey.generate()
        spec = RestoreSpec(
            repo.folder.as_uri(), self.opening.public, "latest", path, (), (), self.area, following=following
        )
        ticket = Ticket(
            1, bytes(16), os.urandom(16), 1, *repo.vault, ROLE, (DECRYPT,), b"", 0, now_ms() + 60_000, 9
        )
        self.job = Job(ticket, issue(self.scheduler, ticket), b"", spec)
        publisher = Publisher(self._valkey.url(CLIENT, passwords[CLIENT]), Settings())
        self.following = Following(publisher, self.job.id)
        self.overs = redis.Redis(
            unix_socket_path=str(self._valkey.socket),
            username=BROKER_OF_SCHEDULER,
            password=bytes(passwords[BROKER_OF_SCHEDULER]).decode(),
        )
        self._close = publisher.close
        self._own = RestoreProcess(self.process)
        self.session = RestoreSession(self._own, self.job, lambda *_, **__: None)
        self.meter = Meter()
        self.noted: list[notes.Note] = []
        self.session.open_delivery()
        measured: ReadStore = MeasuredReader(self.session.store, self.meter)
        self.session.store = measured

    def deliver(self) -> None:
        reporter = Noting(self.process, self.job, lambda *_, **__: None, lambda _: None)
        reporter.noted = self.noted
        deliver_segment(self.session, reporter, self.snapshot.hex(), 0)

    def lying(self) -> list[int]:
        """The numbers of the parcels that nobody has taken."""
        names = open_reader(self.area).list(f"{self.job.id.hex()}/")
        return sorted(int(name.rpartition("-")[2]) for name in names)

    def end(self, by: Identity) -> None:
        """Say that the job is over, in the name of `by`, as a scheduler does."""
        self.overs.set(over_key(self.job.id), canonical.to_text(canonical.encode(end(by, self.job.id))))

    def taker(self, staging: Path, strip: bytes = b"") -> "Taker":
        return Taker(self, staging, strip)

    def close(self) -> None:
        self._close()
        self.overs.close()
        self._own.stop()
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


class Taker:
    """Takes one parcel after another, as an opener does."""

    def __init__(self, delivering: Delivering, staging: Path, strip: bytes) -> None:
        staging.mkdir()
        self._from = delivering
        self._reader = ParcelReader(delivering.area, delivering.job.id)
        self.assembler = Assembler(staging, strip)
        self.taken = 0

    def take(self, sequence: int) -> None:
        sealed = self._reader.read(0, sequence)
        registry, job, opening = self._from.registry, self._from.job.id, self._from.opening
        self.assembler.take(0, read_parcel(registry, sealed, job, 0, sequence, opening, now_ms()))
        self._reader.remove(0, sequence)
        self.taken += 1


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[list[Delivering]]:
    made: list[Delivering] = []
    yield made
    for each in made:
        each.close()


def test_nothing_is_delivered_to_a_requester_who_is_gone(
    tmp_path: Path, repo: Repo, rooms: list[Delivering], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Delivering(tmp_path, repo)
    rooms.append(room)
    monkeypatch.setattr(batch_module, "PARCEL_BYTES", 1 << 16)
    place = room.home.delivery / room.job.id.hex()
    delivered = 0
    put = room.session.delivery.put

    def put_and_leave(name: str, parts: object) -> None:
        nonlocal delivered
        put(name, parts)  # type: ignore[arg-type]
        delivered += 1
        shutil.rmtree(place)

    monkeypatch.setattr(room.session.delivery, "put", put_and_leave)
    with pytest.raises(Stray, match="gone"):
        room.deliver()
    assert (delivered, place.exists()) == (1, False)


def test_a_store_that_does_not_answer_is_told_once_for_a_span_and_never_an_error(
    tmp_path: Path, repo: Repo, rooms: list[Delivering]
) -> None:
    room = Delivering(tmp_path, repo)
    rooms.append(room)
    reporter = Reporter(room.process, room.job, lambda *_, **__: None, lambda _: None)
    for left_s in (0.0, 3600.0, 3600.0):
        reporter.waiting(StoreUnreachable("packs/aa/bb: refused"), left_s)
    found: list[notes.Note] = []
    lists = Lists(room.requesters)
    while letter := lists.wait(notes_list(room.job.id), 0.1):
        sealed = canonical.decode(notes.Letter, letter).note
        assert sealed is not None
        found.append(notes.read_note(room.registry, sealed, room.job.id, room.opening, now_ms()))
    assert [each.message for each in found if isinstance(each, notes.Waiting)] == ["packs/aa/bb: refused"] * 2
    lists.close()
    os.kill(room.pid, 9)
    Reporter(room.process, room.job, lambda *_, **__: None, lambda _: None).waiting(
        StoreUnreachable("x"), 1.0
    )


def test_a_small_file_costs_a_few_chunks_of_a_large_segment(
    tmp_path: Path, repo: Repo, rooms: list[Delivering]
) -> None:
    room = Delivering(tmp_path, repo, b"/note")
    rooms.append(room)
    room.session.index()
    before = room.meter.read()["get"]
    room.deliver()
    done = room.meter.read()["get"]
    assert room.lying() == [0]
    taker = room.taker(tmp_path / "out", b"/note")
    taker.take(0)
    assert (tmp_path / "out" / "note").read_bytes() == FILES[b"/note"]
    # Snapshot and manifest, and one read for what the file has in packs; the whole is 300 chunks and more.
    assert done.operations - before.operations <= 4
    metadata = sum((repo.folder / ref).stat().st_size for ref in metadata_of(repo))
    assert done.bytes - before.bytes <= metadata + 3 * SMALL.largest


def metadata_of(repo: Repo) -> list[str]:
    return [*repo.stored("snapshots/"), *repo.stored("manifests/")]


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come about")


@pytest.fixture(params=["folder", "bucket"])
def area(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where parcels pass: the home, or a bucket."""
    if request.param == "folder":
        return ""
    s3: S3Server = request.getfixturevalue("s3")
    return s3.uri(f"pace/{secrets.token_hex(8)}", DELIVERIES, profile="deliveries")


@pytest.fixture
def room(
    tmp_path: Path, repo: Repo, rooms: list[Delivering], area: str, monkeypatch: pytest.MonkeyPatch
) -> Delivering:
    """A restore of some tens of parcels, whose requester says what it takes."""
    monkeypatch.setattr(batch_module, "PARCEL_BYTES", 8 * SMALL.largest)
    rooms.append(Delivering(tmp_path, repo, area=area, following=True))
    return rooms[-1]


class Trying(threading.Thread):
    """Delivers, and keeps what came of it."""

    def __init__(self, room: Delivering) -> None:
        super().__init__()
        self._room = room
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._room.deliver()
        except Exception as error:  # noqa: BLE001 - told to the test
            self.error = error


def ahead(room: Delivering) -> int:
    return AHEAD if room.session.delivery_folder else AHEAD_IN_BUCKET


def settled(room: Delivering, worker: Trying) -> list[int]:
    """What lies there once that is as much as may, and a while later."""
    wait_for(lambda: len(room.lying()) >= ahead(room) or not worker.is_alive())
    worker.join(0.5)
    return room.lying()


def test_the_worker_stays_a_few_parcels_ahead_of_who_takes_them(room: Delivering, tmp_path: Path) -> None:
    room.following.tell()
    worker = Trying(room)
    taker = room.taker(tmp_path / "out")
    most = 0
    while worker.is_alive() or room.lying():
        lying = room.lying()
        most = max(most, len(lying))
        if taker.taken in lying:
            taker.take(taker.taken)
            room.following.took(0, taker.taken)
            room.following.tell()
    worker.join()
    assert worker.error is None
    report = taker.assembler.end_segment(0)
    assert report.failed == ()
    assert {path: (tmp_path / "out" / path[1:].decode()).read_bytes() for path in FILES} == FILES
    assert taker.taken > 10
    assert most <= ahead(room)


def test_who_takes_nothing_is_waited_for_and_told_again(
    room: Delivering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace_module, "REMIND_S", 0.2)
    room.following.tell()
    worker = Trying(room)
    assert settled(room, worker) == list(range(ahead(room)))
    assert worker.is_alive()
    assert len(room.noted) > ahead(room)
    taker = room.taker(tmp_path / "out")
    while worker.is_alive() or room.lying():
        for sequence in room.lying():
            taker.take(sequence)
        room.following.took(0, taker.taken)
        room.following.tell()
    assert worker.error is None
    assert taker.assembler.end_segment(0).failed == ()
    assert (tmp_path / "out" / "big").read_bytes() == CONTENT


def test_the_end_of_the_job_stops_the_worker(room: Delivering) -> None:
    room.following.tell()
    worker = Trying(room)
    assert settled(room, worker) == list(range(ahead(room)))
    room.end(Identity.generate(SCHEDULER))
    room.overs.set(over_key(bytes(16)), b"junk")
    worker.join(0.3)
    assert worker.is_alive(), "a stranger does not end a job"
    room.end(room.scheduler)
    worker.join(30)
    assert isinstance(worker.error, Stray)
    assert len(room.lying()) == ahead(room)
    with pytest.raises(Stray, match="over"):
        room.deliver()


def test_a_requester_who_leaves_stops_the_worker(room: Delivering) -> None:
    room.following.tell()
    worker = Trying(room)
    assert settled(room, worker) == list(range(ahead(room)))
    room.following.leave()
    worker.join(30)
    assert isinstance(worker.error, RequesterGone)
    assert len(room.lying()) == ahead(room)


def test_a_requester_who_falls_silent_stops_the_worker(
    room: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace_module, "ABSENCE_S", 0.3)
    monkeypatch.setattr(following_module, "LIFE_MS", 200)
    room.following.tell()
    with pytest.raises(RequesterGone):
        room.deliver()
    assert len(room.lying()) <= ahead(room)


def test_what_nobody_follows_is_delivered_for_whoever_comes_later(
    tmp_path: Path, repo: Repo, rooms: list[Delivering], area: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "PARCEL_BYTES", 8 * SMALL.largest)
    room = Delivering(tmp_path, repo, area=area)
    rooms.append(room)
    room.deliver()
    assert len(room.lying()) > 10
    taker = room.taker(tmp_path / "out")
    for sequence in room.lying():
        taker.take(sequence)
    assert taker.assembler.end_segment(0).failed == ()
    assert (tmp_path / "out" / "big").read_bytes() == CONTENT


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_what_is_lost_in_one_pack_is_delivered_from_another(
    tmp_path: Path, repo: Repo, rooms: list[Delivering], damage: str
) -> None:
    room = Delivering(tmp_path, repo)
    rooms.append(room)
    first = repo.stored("packs/")
    repo.publish(repo.segment(FILES)[1])
    for pack in first:
        if damage == "missing":
            repo.store.delete(pack)
        else:
            repo.damage(pack, lambda data: data[:100] + bytes(len(data) - 100))
    taker = room.taker(tmp_path / "staging")
    room.deliver()
    for sequence in room.lying():
        taker.take(sequence)
    assert [note.failed for note in room.noted if isinstance(note, notes.SegmentDone)] == [()]
    assert taker.assembler.end_segment(0).failed == ()


@pytest.mark.parametrize("published", [False, True])
def test_a_pack_that_moves_while_it_is_restored_costs_nothing(
    tmp_path: Path, repo: Repo, rooms: list[Delivering], monkeypatch: pytest.MonkeyPatch, published: bool
) -> None:
    """As a prune moves it: a new pack, its index object, and then neither the old index object nor the old pack."""
    room = Delivering(tmp_path, repo)
    rooms.append(room)
    monkeypatch.setattr(batch_module, "PARCEL_BYTES", 1 << 16)
    taker = room.taker(tmp_path / "staging")
    taken = 0
    put = room.session.delivery.put
    old = [*repo.stored("index/"), *repo.stored("packs/")]
    _, moved = repo.segment(FILES)

    def put_and_move(name: str, parts: object) -> None:
        nonlocal taken
        put(name, parts)  # type: ignore[arg-type]
        taker.take(taken)
        taken += 1
        if taken == 2:
            if published:
                repo.publish(moved)
            for each in old:
                repo.store.delete(each)

    monkeypatch.setattr(room.session.delivery, "put", put_and_move)
    told: list[notes.Note] = []
    monkeypatch.setattr(Reporter, "note", lambda _, note: told.append(note))
    room.deliver()
    (done,) = (note for note in told if isinstance(note, notes.SegmentDone))
    # What is nowhere any more is named.
    assert [path for path, _ in done.failed] == ([] if published else [b"/big", b"/note", b"/zero"])
    assert taken > 3
