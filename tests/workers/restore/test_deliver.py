"""A segment's delivery, with a real repository, broker and requester: what it reads, and how far it runs ahead."""

import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.delivery import ParcelReader
from client.restore.assembler import Assembler
from config.home import Home
from config.queues import RESTORE as ROLE
from config.settings import Settings
from crypto import notes
from crypto.dek_cache import Slot
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.job import RestoreSpec
from crypto.keyrecord import DEK
from crypto.parcel import read_parcel
from crypto.registry import RESTORE, SCHEDULER, Registry
from crypto.ticket import DECRYPT, Ticket, issue
from repository.measure import MeasuredReader, Meter
from repository.store import ReadStore
from tests.client.deliveries import enrolled, meta, now_ms
from tests.repository.conftest import SMALL, Repo, repo
from workers.admission import Job, Stray
from workers.process import Process
from workers.reporting import Reporter
from workers.restore import batch as batch_module
from workers.restore import parcels as parcels_module
from workers.restore.deliver import deliver_segment
from workers.restore.session import RestoreProcess, RestoreSession
from workers.role import RoleContext
from workers.stack.passwords import Passwords
from workers.stack.valkey import Valkey

__all__ = ["repo"]

CONTENT = random.Random(3).randbytes(300 * SMALL.largest)
FILES = {b"/big": CONTENT, b"/note": b"a few words", b"/zero": bytes(100)}


class Delivering:
    """A restore worker's process and one job of it, whose requester is here as well."""

    def __init__(self, root: Path, repo: Repo, path: bytes = b"") -> None:
        repo.meta = meta("f")
        self.snapshot = repo.backup(FILES).id
        self.home = Home(root / "home")
        self.home.create()
        self._valkey = Valkey(root, root / "valkey.log")
        passwords = Passwords([ROLE])
        self._valkey.configure(passwords)
        self._pid = self._valkey.start()
        self._valkey.wait(self._pid)
        worker, scheduler = Identity.generate(RESTORE), Identity.generate(SCHEDULER)
        self.registry = Registry().with_identity(enrolled(worker, RESTORE))
        (self.home.identities / ROLE).write_bytes(worker.encode())
        self.home.registry_file.write_bytes(self.registry.encode())
        url = self._valkey.url(ROLE, passwords[ROLE])
        self.process = Process(RoleContext(ROLE, self.home, Settings(), url, lambda: None, one_shot=True))
        self.process.start()
        slot = Slot(*repo.vault, DEK, 1, DECRYPT)
        self.process.cache.get(slot, lambda: repo.keys.dek(1))
        self.opening = HpkeKey.generate()
        area = self.home.delivery.as_uri()
        spec = RestoreSpec(repo.folder.as_uri(), self.opening.public, "latest", path, (), (), area)
        ticket = Ticket(
            1, bytes(16), os.urandom(16), 1, *repo.vault, ROLE, (DECRYPT,), b"", 0, now_ms() + 60_000, 9
        )
        self.job = Job(ticket, issue(scheduler, ticket), b"", spec)
        self.session = RestoreSession(RestoreProcess(self.process), self.job, lambda *_, **__: None)
        self.meter = Meter()
        self.session.open_delivery()
        measured: ReadStore = MeasuredReader(self.session.store, self.meter)
        self.session.store = measured

    def deliver(self) -> None:
        reporter = Reporter(self.process, self.job, lambda *_, **__: None, lambda _: None)
        deliver_segment(self.session, reporter, self.snapshot.hex(), 0)

    def lying(self) -> list[int]:
        """The numbers of the parcels that nobody has taken."""
        folder = self.home.delivery / self.job.id.hex()
        names = os.listdir(folder) if folder.exists() else []
        return sorted(int(name.partition("-")[2]) for name in names if not name.startswith("."))

    def taker(self, staging: Path, strip: bytes = b"") -> "Taker":
        return Taker(self, staging, strip)

    def close(self) -> None:
        self.process.stop()
        os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)


class Taker:
    """Takes one parcel after another, as an opener does."""

    def __init__(self, delivering: Delivering, staging: Path, strip: bytes) -> None:
        staging.mkdir()
        self._from = delivering
        self._reader = ParcelReader(delivering.home.delivery.as_uri(), delivering.job.id)
        self.assembler = Assembler(staging, strip)

    def take(self, sequence: int) -> None:
        sealed = self._reader.read(0, sequence)
        registry, job, opening = self._from.registry, self._from.job.id, self._from.opening
        self.assembler.take(0, read_parcel(registry, sealed, job, 0, sequence, opening, now_ms()))
        self._reader.remove(0, sequence)


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


def test_the_worker_stays_a_few_parcels_ahead_of_who_takes_them(
    tmp_path: Path, repo: Repo, rooms: list[Delivering], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "PARCEL_BYTES", 8 * SMALL.largest)
    monkeypatch.setattr(parcels_module, "PATIENCE_S", 60.0)
    room = Delivering(tmp_path, repo)
    rooms.append(room)
    worker = threading.Thread(target=room.deliver)
    worker.start()
    taker = room.taker(tmp_path / "out")
    taken = most = 0
    while worker.is_alive() or room.lying():
        lying = room.lying()
        most = max(most, len(lying))
        if taken in lying:
            taker.take(taken)
            taken += 1
    worker.join()
    report = taker.assembler.end_segment(0)
    assert report.failed == ()
    assert {path: (tmp_path / "out" / path[1:].decode()).read_bytes() for path in FILES} == FILES
    assert taken > 10
    assert most <= parcels_module.AHEAD


def test_a_requester_who_takes_nothing_does_not_hold_the_worker_up(
    tmp_path: Path, repo: Repo, rooms: list[Delivering], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "PARCEL_BYTES", 8 * SMALL.largest)
    monkeypatch.setattr(parcels_module, "PATIENCE_S", 0.05)
    room = Delivering(tmp_path, repo)
    rooms.append(room)
    room.deliver()
    assert len(room.lying()) > 10
    # It is all there for whoever comes later.
    taker = room.taker(tmp_path / "out")
    for sequence in room.lying():
        taker.take(sequence)
    assert taker.assembler.end_segment(0).failed == ()
    assert (tmp_path / "out" / "big").read_bytes() == CONTENT


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
