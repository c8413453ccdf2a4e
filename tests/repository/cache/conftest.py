"""Processes that do something with a cache and end, or die."""

import faulthandler
import os
import signal
from collections.abc import Callable

import pytest


def in_a_process(work: Callable[[], None]) -> int:
    """Do it in a process of its own; returns the exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def process() -> Callable[[Callable[[], None]], int]:
    return in_a_process


@pytest.fixture
def die() -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), signal.SIGKILL)
