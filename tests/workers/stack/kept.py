"""A stack that is kept up, as `strongroom up` starts it, and what is left of one."""

import os
import subprocess
import sys
from pathlib import Path

from config.errors import ConfigError
from config.home import Home
from config.stack_file import StackInfo, decode_line
from tests.workers.stack_control import (
    environment,
    fake_roles,
    is_alive,
    socket_of,
)


def stack_command(home: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "workers.stack", "--home", str(home), *fake_roles(), *more]


class kept_stack:  # noqa: N801 - reads like the function that it stands for
    """A stack that is kept up, as `strongroom up` starts it."""

    def __init__(self, home: Path, *more: str) -> None:
        self._home = home
        self._more = more

    def __enter__(self) -> tuple[Home, StackInfo, subprocess.Popen[bytes]]:
        readable, writable = os.pipe()
        self._stack = subprocess.Popen(
            stack_command(self._home, "--ready-fd", str(writable), *self._more),
            pass_fds=(writable,),
            env=environment(),
        )
        os.close(writable)
        with open(readable, "rb") as answers:
            line = answers.readline()
        try:
            info = decode_line(line)
        except ConfigError:
            self._stack.wait(timeout=60)
            raise
        return Home(self._home), info, self._stack

    def __exit__(self, *_: object) -> None:
        self._stack.terminate()
        self._stack.wait(timeout=60)


def nothing_left(family: set[int], url: str) -> bool:
    return not any(is_alive(pid) for pid in family) and not socket_of(url).exists()
