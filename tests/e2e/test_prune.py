"""Pruning with the installed command: guarantee 10, and what is killed on the way."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from config import queues
from config.home import Home
from config.stack_file import running_stack
from tests.whole.room import Strongroom, make_tree, read_tree, wait_for
from tests.workers.stack_control import children_of, parent_of

Tree = dict[str, bytes]


def packs_of(tmp_path: Path) -> set[Path]:
    return {path for path in (tmp_path / "repo" / "packs").rglob("*") if path.is_file()}


def stored(tmp_path: Path) -> int:
    return sum(path.stat().st_size for path in (tmp_path / "repo").rglob("*") if path.is_file())


def backup(room: Strongroom, source: Path, number: int) -> tuple[str, Tree]:
    """A backup of a tree of which each state shares a half with the next."""
    generator = random.Random(number)
    for name in (f"big{number % 2}", "small"):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(generator.randbytes(3_000_000 if name != "small" else 2000))
    make_tree(source, files=20, seed=number)
    return room.json("backup", "v", source)["snapshot"], read_tree(source)


def require_restored(room: Strongroom, source: Path, states: dict[str, Tree], target: Path) -> None:
    assert {line["id"] for line in room.json("snapshots", "v")} >= states.keys()
    for snapshot, content in states.items():
        room.run("restore", "v", f"{snapshot}:{source}", "--target", target / snapshot)
        assert read_tree(target / snapshot) == content


def require_clean(room: Strongroom) -> None:
    found = room.json("check", "v", "--read-data")
    assert found["problems"] == []
    assert (found["unused_packs"], found["unused_manifests"]) == (0, 0)


def test_backup_forget_prune_and_the_rest_restores(stack: Strongroom, tmp_path: Path) -> None:
    source = tmp_path / "source"
    states = dict(backup(stack, source, number) for number in range(5))
    before = stored(tmp_path)
    gone = [*states][:3]
    stack.run("forget", "v", *gone)
    dry = stack.json("prune", "v", "--dry-run")
    assert dry["packs"] > 0
    assert stored(tmp_path) >= before - 100_000, "a dry run removes nothing"
    pruned = stack.json("prune", "v", "--max-unused", "0%")
    assert pruned["packs"] >= dry["packs"]
    assert stored(tmp_path) < before - 5_000_000
    for each in gone:
        del states[each]
    require_restored(stack, source, states, tmp_path / "out")
    require_clean(stack)
    assert "freed" in stack.run("prune", "v").stdout
    snapshot, content = backup(stack, source, 9)
    require_restored(stack, source, {snapshot: content}, tmp_path / "out")


def test_forget_and_prune_in_one_and_without_a_stack(room: Strongroom, tmp_path: Path) -> None:
    source = tmp_path / "source"
    states = dict(backup(room, source, number) for number in range(3))
    found = room.json("forget", "v", "--keep-last", "1", "--prune")
    assert found["removed"] == 2
    assert found["prune"]["packs"] > 0
    last = [*states][-1]
    require_restored(room, source, {last: states[last]}, tmp_path / "out")
    require_clean(room)


def test_a_backup_that_runs_meanwhile_is_neither_held_up_nor_broken(
    stack: Strongroom, tmp_path: Path
) -> None:
    """Its workers are stopped in the middle of it: the prune waits for them, and another backup for nobody."""
    source, other, third = tmp_path / "source", tmp_path / "other", tmp_path / "third"
    make_tree(third, seed=3)
    extra = stack.json("backup", "v", third)["snapshot"]
    first, _ = backup(stack, source, 1)
    stack.run("forget", "v", first)
    # Enough that the backup is not over before its workers are stopped, whoever gets the processor.
    (source / "huge").write_bytes(os.urandom(64 << 20))
    content = read_tree(source)
    held = Held(stack)
    command = stack.start("backup", "v", source, "--json")
    held.stop_when(lambda: any((tmp_path / "repo" / "jobs").rglob("work-*")))
    pruning = stack.start("prune", "v", "--json", "--max-unused", "0")
    wait_for(lambda: any((tmp_path / "repo" / "prunes").rglob("mark")))
    assert pruning.poll() is None
    packs = packs_of(tmp_path)
    # Meanwhile the scheduler is lost and comes again, and another snapshot is forgotten.
    kill(stack, queues.SCHEDULER)
    wait_for(lambda: stack.run("forget", "v", extra, code=None).returncode == 0)
    assert packs_of(tmp_path) == packs, "nothing is removed while it may be relied on"
    assert pruning.poll() is None
    held.go_on()
    snapshot = json.loads(output_of(command))["snapshot"]
    json.loads(output_of(pruning))
    require_restored(stack, source, {snapshot: content}, tmp_path / "out")
    make_tree(other)
    later = stack.json("backup", "v", other)["snapshot"]
    require_restored(stack, other, {later: read_tree(other)}, tmp_path / "out")
    assert stack.json("check", "v", "--read-data")["problems"] == []


def output_of(command: subprocess.Popen[str]) -> str:
    """The last line of a command that ends well."""
    output, errors = command.communicate(timeout=60)
    assert command.returncode == 0, errors
    return output.splitlines()[-1]


class Held:
    """Stops the backup workers of a stack, and lets them go on."""

    def __init__(self, room: Strongroom) -> None:
        info = running_stack(Home(room.home))
        assert info is not None
        parent = children_of(info.pid)[queues.BACKUP]
        self._pids = [pid for pid in all_processes() if parent_of(pid) == parent]

    def stop_when(self, condition: object) -> None:
        while not condition():  # type: ignore[operator]
            time.sleep(0.0005)
        for pid in self._pids:
            os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGCONT)


def all_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def kill(room: Strongroom, victim: str) -> None:
    """kill -9 of a role with its pool, or of the broker's server."""
    info = running_stack(Home(room.home))
    if info is None:
        return
    pid = children_of(info.pid).get(victim)
    for each in [child for child in all_processes() if pid and parent_of(child) == pid] + [pid or 0]:
        if each:
            try:
                os.kill(each, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", [queues.MAINTENANCE, queues.SCHEDULER, "valkey"])
def test_whatever_is_killed_in_a_prune_every_snapshot_restores(
    stack: Strongroom, tmp_path: Path, victim: str
) -> None:
    source, generator = tmp_path / "source", random.Random(victim)
    states: dict[str, Tree] = {}
    for number in range(4):
        states |= dict(backup(stack, source, 10 * number + each) for each in range(3))
        for gone in [*states][:-2]:
            stack.run("forget", "v", gone)
            del states[gone]
        pruning = stack.start("prune", "v", "--json", "--max-unused", "0")
        moment = generator.choice(["mark", "sweep", "time"])
        until = time.monotonic() + (generator.uniform(0, 0.7) if moment == "time" else 5)
        while time.monotonic() < until and pruning.poll() is None:
            if moment != "time" and any((tmp_path / "repo" / "prunes").rglob(moment)):
                break
            time.sleep(0.001)
        kill(stack, victim)
        end(pruning)
        if running_stack(Home(stack.home)) is None:
            stack.run("up")
        wait_for(lambda: stack.run("snapshots", "v", code=None).returncode == 0)
        require_restored(stack, source, states, tmp_path / f"out{number}")
    stack.json("prune", "v", "--max-unused", "0")
    require_restored(stack, source, states, tmp_path / "last")
    require_clean(stack)


def end(command: subprocess.Popen[str]) -> None:
    """Wait a little for a command; call it off if that takes too long, as a job that lost its worker would."""
    try:
        command.wait(4)
    except subprocess.TimeoutExpired:
        os.killpg(command.pid, signal.SIGINT)
        command.wait(60)
    command.communicate()
