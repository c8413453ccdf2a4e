"""Several scheduler processes on one ledger file, and schedulers that are killed in the middle of things."""

import multiprocessing
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from config.schedules import Retention, Schedule
from crypto.registry import BACKUP, MAINTENANCE
from scheduler.ledger import Ledger
from scheduler.lifecycle import CLAIM_MS, LEASE_MS, MAX_ATTEMPTS
from scheduler.service import Scheduler
from tests.scheduler.world import NOW, People, RememberingPublisher, World
from tests.workers.stack_control import until

MINUTE = 60_000
START = NOW - NOW % MINUTE
fork = multiprocessing.get_context("fork")


class SharedPublisher(RememberingPublisher):
    """Notes what is published in a file that all processes append to."""

    def __init__(self, path: Path, before: Callable[[], None], after: Callable[[], None]) -> None:
        super().__init__()
        self._before, self._after = before, after
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def wake(self, task: str, ticket: str, spec: str, expires_s: float, host: str = "") -> None:
        self._before()
        super().wake(task, ticket, spec, expires_s, host)
        body = self.wakes[-1].ticket
        os.write(self._file, f"{task} {body.job.hex()} {body.fence}\n".encode())
        self._after()


def nothing() -> None:
    return None


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def published(folder: Path) -> list[tuple[str, str, int]]:
    path = folder / "published"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(task, job, int(fence)) for task, job, fence in (line.split() for line in lines)]


def in_process(
    folder: Path,
    people: People,
    work: Callable[[World, Scheduler], None],
    *,
    schedules: tuple[Schedule, ...] = (),
    retention: tuple[Retention, ...] = (),
    before: Callable[[], None] = nothing,
    after: Callable[[], None] = nothing,
) -> multiprocessing.process.BaseProcess:
    """Start a process with a scheduler of its own on the ledger in `folder`."""

    def main() -> None:
        world = World(folder, people)
        world.publisher = SharedPublisher(folder / "published", before, after)
        work(world, world.scheduler(schedules=schedules, retention=retention))

    process = fork.Process(target=main)
    process.start()
    return process


def join(*processes: multiprocessing.process.BaseProcess, code: int = 0) -> None:
    for process in processes:
        process.join(60)
        assert process.exitcode == code


def test_a_slot_fires_once_with_three_schedulers(tmp_path: Path, people: People) -> None:
    every_minute = Schedule("often", "documents", ("/a",), "* * * * *")
    barrier = fork.Barrier(3)
    ticks = [START + n * MINUTE for n in range(12)]

    def work(world: World, scheduler: Scheduler) -> None:
        for at in ticks:
            barrier.wait(30)
            scheduler.tick(at)
            barrier.wait(30)
            for job in world.ledger.unfinished(world.parts().stack):
                scheduler.report(world.report(job.id, "failed", fence=job.fence, at_ms=at, code="x"), at)

    join(*(in_process(tmp_path, people, work, schedules=(every_minute,)) for _ in range(3)))
    ledger = Ledger(tmp_path / "ledger.db")
    slots = [job.slot_ms for job in ledger.newest(100) if job.schedule]
    ledger.close()
    assert sorted(filter(None, slots)) == ticks[1:]
    backups = [line for line in published(tmp_path) if line[0] == "backup.plan"]
    assert len(backups) == len(ticks) - 1


def test_each_forget_has_one_prune_with_three_schedulers(tmp_path: Path, people: People) -> None:
    """Each of them ends whatever runs, at once, so that all of them find the same prune and the same slot due."""
    policy = Retention("keep", "documents", "* * * * *", keep_last=1, prune=True)
    world = World(tmp_path, people)
    world.know_vault()
    world.ledger.close()
    barrier = fork.Barrier(3)
    ticks = [START + n * MINUTE // 2 for n in range(40)]

    def work(world: World, scheduler: Scheduler) -> None:
        for at in ticks:
            barrier.wait(30)
            for job in world.ledger.unfinished(world.parts().stack):
                # Through one that has no retention, so that the prune is left to the ticks.
                text = world.report(job.id, "done", role=MAINTENANCE, fence=job.fence, at_ms=at)
                world.scheduler().report(text, at)
            barrier.wait(30)
            scheduler.tick(at)

    join(*(in_process(tmp_path, people, work, retention=(policy,)) for _ in range(3)))
    ledger = Ledger(tmp_path / "ledger.db")
    kinds = [job.kind for job in reversed(ledger.newest(100)) if job.schedule]
    ledger.close()
    assert len(kinds) > len(ticks) // 3
    assert kinds == ["forget", "prune"] * (len(kinds) // 2) + ["forget"] * (len(kinds) % 2)


def test_a_lost_job_is_driven_again_once_with_three_schedulers(tmp_path: Path, people: People) -> None:
    world = World(tmp_path, people)
    jobs = {world.submit(detached=True) for _ in range(10)}
    world.ledger.close()
    barrier = fork.Barrier(3)

    def work(_: World, scheduler: Scheduler) -> None:
        barrier.wait(30)
        scheduler.tick(NOW + LEASE_MS)

    join(*(in_process(tmp_path, people, work) for _ in range(3)))
    assert Counter(published(tmp_path)) == {("backup.plan", job.hex(), 2): 1 for job in jobs}


def test_the_same_request_at_three_schedulers_is_one_job(tmp_path: Path, people: People) -> None:
    world = World(tmp_path, people)
    texts = [world.sign(world.body()) for _ in range(10)]
    world.ledger.close()
    barrier = fork.Barrier(3)

    def work(_: World, scheduler: Scheduler) -> None:
        for text in texts:
            barrier.wait(30)
            scheduler.submit(text, NOW)

    join(*(in_process(tmp_path, people, work) for _ in range(3)))
    assert len(published(tmp_path)) == len(texts)
    assert {fence for _, _, fence in published(tmp_path)} == {1}


def test_the_same_report_at_three_schedulers_counts_once(tmp_path: Path, people: People) -> None:
    world = World(tmp_path, people)
    job = world.submit()
    texts = [world.report(job, "alive", kms_calls=1) for _ in range(20)]
    world.ledger.close()
    barrier = fork.Barrier(3)

    def work(_: World, scheduler: Scheduler) -> None:
        barrier.wait(30)
        for text in texts:
            scheduler.report(text, NOW)

    join(*(in_process(tmp_path, people, work) for _ in range(3)))
    world = World(tmp_path, people)
    assert world.job(job).kms_calls == len(texts)
    world.ledger.close()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_publishing_a_submitted_job_nothing_is_lost(
    tmp_path: Path, people: People, moment: str
) -> None:
    world = World(tmp_path, people)
    body = world.body(detached=True)
    text = world.sign(body)
    world.ledger.close()
    victim = in_process(
        tmp_path,
        people,
        lambda _, scheduler: scheduler.submit(text, NOW),
        before=die if moment == "before" else nothing,
        after=die,
    )
    join(victim, code=-signal.SIGKILL)
    assert [fence for _, _, fence in published(tmp_path)] == ([] if moment == "before" else [1])

    survivor = World(tmp_path, people)
    survivor.scheduler().start(NOW + 1)
    survivor.scheduler().submit(text, NOW + 1)
    assert survivor.verdicts(body.job)[0].state == "queued"
    assert not survivor.publisher.wakes, "the claim of the dead one still stands"
    survivor.scheduler().tick(NOW + CLAIM_MS)
    assert [wake.ticket.fence for wake in survivor.publisher.wakes] == [2]
    survivor.scheduler().report(survivor.report(body.job, "done", fence=2), NOW + CLAIM_MS)
    assert survivor.job(body.job).state == "done"
    survivor.ledger.close()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_publishing_a_slot_it_fires_once(tmp_path: Path, people: People, moment: str) -> None:
    nightly = Schedule("often", "documents", ("/a",), "* * * * *")

    def work(_: World, scheduler: Scheduler) -> None:
        scheduler.tick(START)
        scheduler.tick(START + MINUTE)

    victim = in_process(
        tmp_path,
        people,
        work,
        schedules=(nightly,),
        before=die if moment == "before" else nothing,
        after=die,
    )
    join(victim, code=-signal.SIGKILL)
    survivor = World(tmp_path, people)
    for at in range(START + MINUTE, START + 2 * MINUTE, 5000):
        survivor.scheduler(schedules=(nightly,)).tick(at)
    (job,) = survivor.ledger.newest(10)
    assert (job.slot_ms, job.fence, job.state) == (START + MINUTE, 2, "queued")
    assert len(survivor.publisher.wakes) == 1
    survivor.ledger.close()


def has_jobs(folder: Path) -> bool:
    with closing(sqlite3.connect(f"file:{folder}/ledger.db?mode=ro", uri=True)) as db:
        return bool(db.execute("SELECT count(*) FROM jobs").fetchone()[0])


def test_killed_at_any_time_the_ledger_is_whole_and_every_job_comes_to_an_end(
    tmp_path: Path, people: People
) -> None:
    world = World(tmp_path, people)
    bodies = [world.body(detached=True) for _ in range(60)]
    texts = [world.sign(body) for body in bodies]
    world.ledger.close()

    def work(world: World, scheduler: Scheduler) -> None:
        while True:
            for text, body in zip(texts, bodies, strict=True):
                scheduler.submit(text, NOW)
                scheduler.report(world.report(body.job, "alive"), NOW)

    for delay in (0.02, 0.04, 0.06, 0.08):
        victim = in_process(tmp_path, people, work)
        until(lambda: has_jobs(tmp_path))
        time.sleep(delay)
        victim.kill()
        victim.join(60)

    with sqlite3.connect(tmp_path / "ledger.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    survivor = World(tmp_path, people)
    known = survivor.ledger.newest(100)
    at = NOW
    for _ in range(MAX_ATTEMPTS):
        at += LEASE_MS
        survivor.scheduler().tick(at)
        for job in survivor.ledger.unfinished(survivor.parts().stack):
            text = survivor.report(job.id, "done", role=BACKUP, fence=job.fence, at_ms=at)
            survivor.scheduler().report(text, at)
    assert known
    assert {survivor.job(job.id).state for job in known} == {"done"}
    wakes = [(wake.ticket.job.hex(), wake.ticket.fence) for wake in survivor.publisher.wakes]
    every = [*wakes, *((job, fence) for _, job, fence in published(tmp_path))]
    assert len(every) == len(set(every)), "no fence is published twice"
    survivor.ledger.close()
