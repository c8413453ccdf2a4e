"""What serving a role hangs onto Celery: signs of life while it is connected, and no service without keys."""

import logging
import os
from collections.abc import Callable
from typing import Any

import pytest
from celery import signals

from workers.pulse import BEAT_S
from workers.serve import EXIT_UNPREPARED, PulseStep, _connect


class Timer:
    """A consumer's timer."""

    def __init__(self) -> None:
        self.running: list[tuple[float, Callable[[], None]]] = []

    def call_repeatedly(self, every_s: float, call: Callable[[], None]) -> tuple[float, Callable[[], None]]:
        self.running.append((every_s, call))
        return self.running[-1]

    def cancel(self, entry: tuple[float, Callable[[], None]]) -> None:
        self.running.remove(entry)


class Consumer:
    """As far as a step of it looks."""

    def __init__(self) -> None:
        self.timer = Timer()
        self.app = self
        self.beats = 0

    def pulse(self) -> None:
        self.beats += 1


def test_a_role_beats_while_it_is_connected_and_once_only() -> None:
    consumer = Consumer()
    step = PulseStep(consumer)
    step.stop(consumer)
    for _ in range(2):
        step.start(consumer)
        assert [every_s for every_s, _ in consumer.timer.running] == [BEAT_S]
        step.stop(consumer)
        step.shutdown(consumer)
        assert consumer.timer.running == []


def exit_of(main: Callable[[], Any], log: int) -> int:
    """The exit code of a child that does this; its title and its signals are its own."""
    child = os.fork()
    if child == 0:
        code = 0
        logging.getLogger("workers.serve").addHandler(logging.StreamHandler(os.fdopen(log, "w")))
        try:
            main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(("fails", "code"), [(True, EXIT_UNPREPARED), (False, 0)])
def test_a_process_that_has_no_keys_does_not_serve(fails: bool, code: int) -> None:
    def prepare() -> None:
        if fails:
            raise ValueError("/home/secret-path")

    def start() -> None:
        hooks = _connect("backup", "threads", lambda: None, prepare, None)
        signals.worker_init.send(sender=None)
        del hooks

    readable, writable = os.pipe()
    assert exit_of(start, writable) == code
    os.close(writable)
    with os.fdopen(readable) as log:
        text = log.read()
    assert ("cannot start" in text, "secret-path" in text) == (fails, False)


def test_what_was_hung_on_is_gone_with_the_service() -> None:
    ready: list[None] = []
    hooks = _connect("backup", "threads", lambda: ready.append(None), None, None)
    signals.worker_ready.send(sender=None)
    del hooks
    signals.worker_ready.send(sender=None)
    assert len(ready) == 1
