"""What somebody with full power over the broker sees while a job runs; for the demo.

The product has no such user. The demo, which owns the machine, adds one to the server's user file and lets the
supervisor start the server again, as an intruder with its files could.
"""

import base64
import binascii
import hashlib
import json
import multiprocessing
import os
import re
import secrets
import signal
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRWPair
from pathlib import Path
from typing import Any, Final, NamedTuple

from config import queues
from config.hardening import die_with_parent

READY_S: Final = 30.0
_USER: Final = "onlooker"
_WORD: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"')
"""A word in the output of MONITOR."""
_SERVED: Final = (queues.SCHEDULER, queues.KEY_BROKER, queues.BACKUP, queues.RESTORE)


class Sighting(NamedTuple):
    """One thing that was put on a list of the broker."""

    where: str
    value: str

    def opened(self) -> bytes:
        """Everything that can be had from it without a key: the value, its body, and each argument decoded."""
        parts = [self.value.encode("latin-1", "replace")]
        try:
            body = base64.b64decode(json.loads(self.value)["body"])
            parts.append(body)
            parts += [_unpacked(each) for each in json.loads(body)[0] if isinstance(each, str)]
        except (ValueError, KeyError, TypeError, IndexError):
            return parts[0]  # a note or an answer: there is nothing to take apart
        return b"\n".join(parts)


class Onlooker:
    """An administrator of the broker behind `broker_url`, an embedded one.

    Args:
        notebook: file to write into; whatever was seen is read from there.
    """

    def __init__(self, broker_url: str, notebook: Path) -> None:
        self._socket = Path(broker_url.partition("@")[2].partition("?")[0])
        self._password = secrets.token_hex(16)
        self._notebook = notebook
        self._break_in()

    def sightings(self) -> list[Sighting]:
        """All that was put on lists while somebody was `watching`."""
        return [Sighting(*json.loads(line)) for line in self._notebook.read_text().splitlines()]

    def messages(self) -> Counter[str]:
        """How many of them on which kind of list."""
        return Counter(seen.where.partition(":")[0] for seen in self.sightings())

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Write down what passes while the block runs."""
        self._notebook.touch(0o600)
        context = multiprocessing.get_context("fork")
        listening = context.Event()
        watcher = context.Process(target=self._watch, args=(os.getpid(), listening), daemon=True)
        watcher.start()
        listening.wait(READY_S)
        try:
            yield
        finally:
            time.sleep(0.2)  # the last commands are on their way to the watcher
            watcher.terminate()
            watcher.join()

    def _watch(self, parent: int, listening: Any) -> None:
        die_with_parent(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with self._connect() as server, self._notebook.open("a", buffering=1) as notebook:
            server.write(b"MONITOR\r\n")
            server.flush()
            listening.set()
            for line in server:
                words = [_unescaped(word) for word in _WORD.findall(line)]
                if len(words) > 2 and words[0].upper() in {"LPUSH", "RPUSH"}:
                    notebook.write(json.dumps(words[1:3]) + "\n")

    def _break_in(self) -> None:
        digest = hashlib.sha256(self._password.encode()).hexdigest()
        with (self._socket.parent / "users.acl").open("a") as users:
            users.write(f"user {_USER} reset on #{digest} ~* &* +@all\n")
        os.kill(self._server(), signal.SIGKILL)
        deadline = time.monotonic() + READY_S
        while not self._all_back() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _server(self) -> int:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self._socket))
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid: int = struct.unpack("3i", credentials)[0]
        return pid

    def _all_back(self) -> bool:
        """Whether every role waits for messages again."""
        try:
            with self._connect() as server:
                server.write(b"CLIENT LIST\r\n")
                server.flush()
                clients = server.read(int(server.readline()[1:])).decode().splitlines()
        except (OSError, ValueError):
            return False
        fields = [dict(field.partition("=")[::2] for field in line.split()) for line in clients]
        return {each["user"] for each in fields if each["cmd"] == "brpop"}.issuperset(_SERVED)

    def _connect(self) -> BufferedRWPair:
        """A connection as the onlooker, in plain RESP: redis-py is for the product's own users.

        Raises:
            OSError: the server is not there.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._socket))
            stream = connection.makefile("rwb")
        stream.write(f"AUTH {_USER} {self._password}\r\n".encode())
        stream.flush()
        if not stream.readline().startswith(b"+OK"):
            raise ConnectionRefusedError("the server does not know the onlooker")
        return stream


def _unescaped(word: bytes) -> str:
    """A word of MONITOR's as text in which each character is one byte."""
    return word.decode("unicode_escape")


def _unpacked(argument: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(argument + "=" * (-len(argument) % 4))
    except (binascii.Error, ValueError):
        return argument.encode()
