"""Reaching a stack: the one that is kept up, an external broker, or an embedded one for a single command."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

from client.errors import NotUp, StackFailed
from client.installation import python_command
from config.errors import ConfigError
from config.home import Home
from config.stack_file import MAX_STACK_FILE_BYTES, StackInfo, decode_line, is_locked, running_stack

MODULE: Final = "workers.stack"
START_TIMEOUT_S: Final = 30.0
"""The supervisor gives up by itself before that."""
STOP_TIMEOUT_S: Final = 15.0


class OneShotStack:
    """An embedded stack that ends when `close` is called, or when this process dies, however it dies.

    The constructor starts it; `wait_ready` waits. In between there is time to prepare the job.

    Args:
        more: further arguments for the supervisor.
    """

    def __init__(self, home: Home, *more: str) -> None:
        self._home = home
        self._channel, theirs = socket.socketpair()
        command, environment = python_command(
            MODULE, "--home", str(home.root), "--one-shot-fd", str(theirs.fileno()), *more
        )
        with theirs:
            self._process = subprocess.Popen(
                command,
                env=environment,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def wait_ready(self) -> StackInfo:
        """Wait until the stack serves.

        Raises:
            StackFailed: it does not; in the supervisor's words.
        """
        return _read_answer(self._channel, self._home)

    def require_alive(self) -> None:
        """Refuse to go on when the supervisor is gone.

        Raises:
            StackFailed: it is.
        """
        if self._process.poll() is not None:
            raise StackFailed(
                "the embedded stack died", remedy=f"see {self._home.logs / 'stack.log'}, then try again"
            )

    def close(self) -> None:
        """Take the stack down and wait until none of its processes is left."""
        self._channel.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # Its processes die with it: each has asked the kernel for that.
            self._process.kill()
            self._process.wait()


def start_kept(home: Home, *, flower: bool) -> StackInfo:
    """Start a stack that stays up, and wait until it serves.

    Raises:
        StackFailed: it does not start, or one is up already.
    """
    ours, theirs = socket.socketpair()
    command, environment = python_command(
        MODULE,
        "--home",
        str(home.root),
        "--ready-fd",
        str(theirs.fileno()),
        *(["--flower"] if flower else []),
    )
    with ours:
        with theirs:
            process = subprocess.Popen(
                command,
                env=environment,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        try:
            return _read_answer(ours, home)
        except BaseException:
            process.terminate()
            process.wait()
            raise


def stop_kept(home: Home) -> StackInfo:
    """Stop the stack that is kept up, and wait until it is gone.

    Raises:
        NotUp: there is none.
        StackFailed: it does not stop.
    """
    info = running_stack(home)
    if info is None:
        raise NotUp("no stack is up", remedy="nothing to do")
    os.kill(info.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while is_locked(home.stack_lock) or _runs(info.pid):
        if time.monotonic() > deadline:
            raise StackFailed(
                f"the stack (process {info.pid}) does not stop", remedy=f"see {home.logs / 'stack.log'}"
            )
        time.sleep(0.02)
    return info


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] not in b"ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _read_answer(channel: socket.socket, home: Home) -> StackInfo:
    channel.settimeout(START_TIMEOUT_S)
    line = b""
    try:
        while not line.endswith(b"\n") and len(line) < MAX_STACK_FILE_BYTES:
            more = channel.recv(MAX_STACK_FILE_BYTES)
            if not more:
                break
            line += more
        return decode_line(line)
    except (OSError, ConfigError) as error:
        words = error if isinstance(error, ConfigError) else None
        raise StackFailed(
            words.message if words else "the embedded stack does not get ready",
            remedy=words.remedy if words and words.remedy else f"see the logs in {home.logs}",
        ) from error
