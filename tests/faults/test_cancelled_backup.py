"""What a command says of a backup that was interrupted is what became of it: no snapshot of a cancelled one appears."""

import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from repository.stores import open_reader
from tests.repository.s3.proxy import Fault, Proxy, Request, proxy
from tests.s3_server import S3Server
from tests.whole.room import TIMEOUT_S, Strongroom, left_tidy, make_tree, wait_for


class Held(NamedTuple):
    """A vault whose store answers no sooner than a test lets it."""

    room: Strongroom
    proxy: Proxy
    repo: str
    source: Path

    def hold(self, matches: Callable[[Request], bool]) -> Fault:
        """Hold the next request of a kind."""
        fault = Fault(matches, hold=threading.Event())
        self.proxy.faults = [fault]
        return fault

    def begin(self, fault: Fault) -> "subprocess.Popen[str]":
        """Begin a backup, and interrupt it once the request is held."""
        (self.source / secrets.token_hex(4)).write_bytes(secrets.token_bytes(5000))
        command = self.room.start("backup", "v", self.source)
        wait_for(lambda: not fault.times)
        os.killpg(command.pid, signal.SIGINT)
        return command

    def last(self) -> dict[str, Any]:
        jobs = self.room.json("jobs")
        return next(job for job in jobs if job["kind"] == "backup")

    def snapshots(self) -> set[str]:
        return {name.rpartition("/")[2] for name in open_reader(self.repo).list("snapshots/")}


@pytest.fixture(scope="module")
def held(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    folder = tmp_path_factory.mktemp("held")
    room = Strongroom(folder / "home")
    prefix = f"cancelled/{secrets.token_hex(8)}"
    make_tree(folder / "source", files=10)
    with left_tidy(room), proxy(s3.endpoint) as running:
        room.run("init")
        repo = s3.uri(prefix, endpoint=running.endpoint)
        room.run("vault", "create", "v", "--repo", repo, "--kms", "local-kms://main")
        room.run("up")
        room.run("backup", "v", folder / "source")
        yield Held(room, running, s3.uri(prefix), folder / "source")


def is_snapshot(request: Request) -> bool:
    return request.method == "PUT" and "/snapshots/" in request.target


def is_done(request: Request) -> bool:
    return request.method == "PUT" and "/done-" in request.target


def test_a_backup_that_is_being_committed_is_not_called_cancelled(held: Held):
    fault = held.hold(is_snapshot)
    command = held.begin(fault)
    wait_for(lambda: held.last()["code"] == "committing")
    with pytest.raises(subprocess.TimeoutExpired):
        command.communicate(timeout=3)
    assert fault.hold is not None
    fault.hold.set()
    _, said = command.communicate(timeout=TIMEOUT_S)
    assert command.returncode == 130
    assert "done by then" in said
    assert "cancelled" not in said
    last = held.last()
    assert last["state"] == "done"
    assert last["id"] in held.snapshots()


def test_no_snapshot_of_a_cancelled_backup_appears(held: Held):
    fault = held.hold(is_done)
    command = held.begin(fault)
    _, said = command.communicate(timeout=TIMEOUT_S)
    assert command.returncode == 130
    assert "the job was cancelled" in said
    assert fault.hold is not None
    fault.hold.set()
    last = held.last()
    assert last["state"] == "cancelled"
    logs = held.room.home / "logs" / "backup.log"
    wait_for(lambda: f"backup.segment [1, 0] of job {last['id']}" in logs.read_text())
    held.room.run("backup", "v", held.source)  # behind whatever the cancelled one may still have in the queue
    assert last["id"] not in held.snapshots()
    assert held.last()["id"] in held.snapshots()
