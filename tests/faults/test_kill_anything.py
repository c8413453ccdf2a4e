"""Guarantee 8: kill anything, any time.

Backups of a changing tree, each of them disturbed by a kill -9 of one process at a random moment. Whatever came of
them: what is committed restores, byte for byte, and nothing committed is lost.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from blake3 import blake3

from config import queues
from config.home import Home
from config.stack_file import running_stack
from tests.whole.room import Strongroom, furnished, wait_for
from tests.workers.stack_control import children_of, is_alive, parent_of

SEED = 8
SUPERVISOR, COMMAND, POOL, SERVER = "supervisor", "command", "a backup process", "valkey"
VICTIMS = (SERVER, queues.SCHEDULER, queues.KEY_BROKER, POOL, queues.BACKUP, SUPERVISOR, COMMAND)
ROUNDS_S = 30
# A backup that lost its messages is driven again after a minute: here it is called off instead.
PATIENCE_S = 5
LARGE, LARGE_BYTES = 12, 1 << 21
SMALL, SMALL_BYTES = 60, 3000
# Hardly any data, but each of these parts is a segment of its own.
PARTS, PART_BYTES = 6, 1 << 27
BLOCK = 4096
TORN = 3
"""Exit code of a restore that gives back something that was not whole when it was read."""

Tree = dict[str, bytes]
"""Digest of the content by name."""


class Source:
    """A tree that changes; every file is replaced in one step, so that it is never read half old and half new."""

    def __init__(self, root: Path, generator: random.Random) -> None:
        self.root = root / "source"
        self.root.mkdir()
        self._new = root / "new"
        self._generator = generator
        self.rounds: list[Tree] = []

    def change(self) -> None:
        """The next state: some files are new, some are gone, a third has other contents."""
        before = self.rounds[-1] if self.rounds else {}
        tree: Tree = {}
        number = len(self.rounds)
        names = (
            [f"large-{n}" for n in range(LARGE)] + [f"small-{n}" for n in range(SMALL)] + [f"only-{number}"]
        )
        for name in names:
            if name in before and self._generator.random() > 0.35:
                tree[name] = before[name]
                continue
            size = LARGE_BYTES if name.startswith("large") else self._generator.randrange(SMALL_BYTES)
            content = self._generator.randbytes(size)
            self._new.write_bytes(content)
            self._new.replace(self.root / name)
            tree[name] = digest_of(self.root / name)
        tree["parts"] = self._change_parts()
        for gone in before.keys() - tree.keys():
            (self.root / gone).unlink()
        self.rounds.append(tree)

    def _change_parts(self) -> bytes:
        with self._new.open("wb") as file:
            for part in range(PARTS):
                file.seek(part * PART_BYTES + self._generator.randrange(PART_BYTES // 2))
                file.write(self._generator.randbytes(SMALL_BYTES))
            file.truncate(PARTS * PART_BYTES)
        self._new.replace(self.root / "parts")
        return digest_of(self.root / "parts")


def digest_of(path: Path) -> bytes:
    """Digest of a file's content, which passes over what is zero as fast as the file system does."""
    found = blake3()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        found.update(size.to_bytes(8, "big"))
        at = 0
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA) // BLOCK * BLOCK
            except OSError:
                break  # only a hole is left
            block = os.pread(file.fileno(), BLOCK, at)
            if block.strip(b"\0"):
                found.update(at.to_bytes(8, "big") + block)
            at += BLOCK
    return found.digest()


def read_digests(root: Path) -> Tree:
    return {each.name: digest_of(each) for each in root.iterdir()}


def assert_restored(found: Tree, source: Source, number: int, *, undisturbed: bool) -> None:
    """Check a restored snapshot against the tree as it was.

    Args:
        undisturbed: it was committed before the tree changed again. Otherwise each file is as it was at some time
            since then: its job went on while the tree changed.
    """
    if undisturbed:
        assert found == source.rounds[number]
        return
    later = source.rounds[number:]
    assert found.keys() >= set.intersection(*(set(tree) for tree in later)) - {"parts"}
    for name, digest in found.items():
        assert digest in {tree.get(name) for tree in later}, name


class Chaos:
    """Kills one process of a stack, and sees to it that the stack is up again."""

    def __init__(self, room: Strongroom, generator: random.Random) -> None:
        self._room = room
        self._generator = generator
        self.hits: list[str] = []

    def kill(self, victim: str, command: subprocess.Popen[str]) -> None:
        """kill -9 of a victim; a stack that is just coming up again may not have it."""
        info = running_stack(Home(self._room.home))
        assert info is not None
        children = children_of(info.pid)
        if victim == POOL:
            pool = [pid for pid in self._everybody() if parent_of(pid) == children.get(queues.BACKUP)]
            pids = [self._generator.choice(pool)] if pool else []
        else:
            pid = {SUPERVISOR: info.pid, COMMAND: command.pid}.get(victim, children.get(victim, 0))
            pids = [pid] if pid else []
        running = command.poll() is None
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                if running:
                    self.hits.append(victim)
        if victim == SUPERVISOR:
            wait_for(lambda: not is_alive(info.pid) and not any(map(is_alive, children.values())))

    def stand_up(self) -> None:
        """Have a stack that serves."""
        if running_stack(Home(self._room.home)) is None:
            self._room.run("up")

    def _everybody(self) -> list[int]:
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def end(command: subprocess.Popen[str]) -> None:
    """Wait for a command; call it off if that takes too long."""
    try:
        command.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(command.pid, signal.SIGINT)
        command.wait(60)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Strongroom]:
    with furnished(Strongroom(tmp_path / "home"), tmp_path / "repo") as room:
        room.run("up")
        yield room


@pytest.mark.timeout(400)
def test_whatever_is_killed_every_snapshot_restores(room: Strongroom, tmp_path: Path) -> None:
    generator = random.Random(SEED)
    source, chaos = Source(tmp_path, generator), Chaos(room, generator)
    source.change()
    begun = time.monotonic()
    committed = {room.json("backup", "v", source.root, "--tag", "0")["snapshot"]: 0}
    usual = time.monotonic() - begun
    deadline = time.monotonic() + ROUNDS_S
    victims: list[str] = []
    while len(source.rounds) <= len(VICTIMS) or time.monotonic() < deadline:
        victims = victims or generator.sample(VICTIMS, len(VICTIMS))
        number = len(source.rounds)
        source.change()
        command = room.start("backup", "v", source.root, "--tag", str(number), "--json")
        time.sleep(generator.uniform(0.2, 1.0) * usual)
        chaos.kill(victims.pop(), command)
        end(command)
        output, errors = command.communicate()
        assert "Traceback" not in errors, errors
        if command.returncode == 0:
            committed[json.loads(output.splitlines()[-1])["snapshot"]] = number
        chaos.stand_up()
    assert len(set(chaos.hits)) > len(VICTIMS) // 2, "hardly anything was killed while it worked"
    source.change()
    last = room.json("backup", "v", source.root, "--tag", str(len(source.rounds) - 1))
    committed[last["snapshot"]] = len(source.rounds) - 1
    listed = {each["id"]: int(each["tags"][0]) for each in room.json("snapshots", "v")}
    assert committed.items() <= listed.items(), "a committed snapshot is lost"
    for snapshot, number in listed.items():
        target = tmp_path / f"restored-{snapshot}"
        done = room.run("restore", "v", f"{snapshot}:{source.root}", "--target", target, "--json", code=None)
        found = read_digests(target)
        if done.returncode == TORN:
            # Its job went on while the tree changed, and read parts of two files of that name: it says so.
            assert snapshot not in committed
            failed = json.loads(done.stdout.splitlines()[-1])["failed"]
            assert [each["path"] for each in failed] == [str(source.root / "parts")]
            del found["parts"]
        else:
            assert done.returncode == 0, done.stderr
        assert_restored(found, source, number, undisturbed=snapshot in committed)
    assert room.json("check", "v", "--read-data")["problems"] == []
