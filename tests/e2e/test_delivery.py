"""Parcels that pass through a bucket: never many at a time, and none left when the restore was called off."""

import os
import random
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from repository.stores import open_reader
from tests.s3_server import DELIVERIES, S3Server
from tests.whole.room import TIMEOUT_S, Strongroom, left_tidy, read_tree, wait_for
from workers.restore.pace import AHEAD_IN_BUCKET

SIZE = 160 << 20
"""Of the file to restore: 20 parcels and more, some of them in another segment."""


class Delivery(NamedTuple):
    room: Strongroom
    source: Path
    area: str

    def lying(self) -> list[str]:
        return list(open_reader(self.area).list(""))


@pytest.fixture(scope="module")
def delivery(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    folder = tmp_path_factory.mktemp("delivery")
    room = Strongroom(folder / "home")
    area = s3.uri(f"parcels/{secrets.token_hex(4)}", DELIVERIES, profile="deliveries")
    (folder / "source").mkdir()
    (folder / "source" / "big").write_bytes(random.Random(5).randbytes(SIZE))
    with left_tidy(room):
        room.run("init")
        config = f'[delivery]\narea = "{area}"\n[workers]\nrestore = 1\n'
        (room.home / "config.toml").write_text(config)
        room.run("vault", "create", "v", "--repo", f"file://{folder / 'repo'}", "--kms", "local-kms://main")
        room.run("up")
        room.run("backup", "v", folder / "source")
        yield Delivery(room, folder / "source", area)


def stopped(delivery: Delivery, target: Path) -> "subprocess.Popen[str]":
    """A restore that was stopped, with its openers, as soon as there was something to take."""
    started = delivery.room.start("restore", "v", f"latest:{delivery.source}", "--target", target)
    wait_for(lambda: bool(delivery.lying()))
    os.killpg(started.pid, signal.SIGSTOP)
    return started


def grown(delivery: Delivery) -> list[str]:
    """What lies there when it has not become more for a while."""
    before: list[str] = []
    while (found := delivery.lying()) != before:
        before = found
        time.sleep(2)
    return found


def test_a_bucket_is_not_filled_while_nobody_takes_anything(delivery: Delivery, tmp_path: Path):
    command = stopped(delivery, tmp_path / "out")
    assert 0 < len(grown(delivery)) <= AHEAD_IN_BUCKET
    os.killpg(command.pid, signal.SIGCONT)
    command.communicate(timeout=TIMEOUT_S)
    assert command.returncode == 0
    assert read_tree(tmp_path / "out") == {"big": (delivery.source / "big").read_bytes()}
    assert delivery.lying() == []
    assert list((delivery.room.home / "delivery").iterdir()) == []


def test_nothing_is_left_in_a_bucket_after_a_cancel(delivery: Delivery, tmp_path: Path):
    command = stopped(delivery, tmp_path / "out")
    grown(delivery)
    os.killpg(command.pid, signal.SIGINT)
    os.killpg(command.pid, signal.SIGCONT)
    command.communicate(timeout=TIMEOUT_S)
    assert command.returncode == 130
    # What a worker was sending meanwhile may still come, and goes with the next command.
    grown(delivery)
    jobs = delivery.room.json("jobs")
    assert next(job for job in jobs if job["kind"] == "restore")["state"] == "cancelled"
    delivery.room.run("snapshots", "v")
    assert grown(delivery) == []


def test_a_command_that_was_killed_ends_its_restore(delivery: Delivery, tmp_path: Path):
    command = stopped(delivery, tmp_path / "out")
    os.killpg(command.pid, signal.SIGKILL)
    command.communicate()

    def ended() -> str:
        return str(next(job for job in delivery.room.json("jobs") if job["kind"] == "restore")["code"])

    wait_for(lambda: ended() == "requester-gone", TIMEOUT_S)
    assert 0 < len(delivery.lying()) <= AHEAD_IN_BUCKET
    delivery.room.run("snapshots", "v")
    assert grown(delivery) == []
