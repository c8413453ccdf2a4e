"""A pool that has nothing to do stops at once, and one that works is left to Celery."""

import os
import sys

import pytest
from celery.concurrency.prefork import TaskPool
from celery.worker import state

from workers.pool import PromptPool, leave


class Processes:
    """What billiard's pool is asked for."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def close(self) -> None:
        self.done.append("close")

    def join(self) -> None:
        self.done.append("join")


@pytest.mark.parametrize(("busy", "done", "left_to_celery"), [(False, ["close", "join"], 0), (True, [], 1)])
def test_who_stops_the_pool(
    monkeypatch: pytest.MonkeyPatch, busy: bool, done: list[str], left_to_celery: int
) -> None:
    asked: list[None] = []
    monkeypatch.setattr(TaskPool, "on_stop", lambda _: asked.append(None))
    monkeypatch.setattr(state, "active_requests", {object()} if busy else set())
    processes = Processes()
    pool = PromptPool.__new__(PromptPool)
    pool._pool = processes
    pool.on_stop()
    assert (processes.done, len(asked)) == (done, left_to_celery)
    assert (pool._pool is None) == (not busy)


def test_a_pool_process_says_all_it_has_to_say_and_ends_with_its_code() -> None:
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writable, 1)
        sys.stdout = os.fdopen(1, "w", buffering=1 << 20)
        sys.stdout.write("last words")
        leave(7)
    os.close(writable)
    with os.fdopen(readable) as said:
        assert said.read() == "last words"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
