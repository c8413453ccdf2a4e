"""One job is spread over all worker processes of its role: shown by the processor time that each of them took."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import queues
from config.home import Home
from config.stack_file import running_stack
from tests.whole.room import Strongroom, furnished, read_tree
from tests.workers.stack_control import children_of, parent_of

PROCESSES = 3
# Two of these are more than a segment holds: each file is a segment, and a manifest of its own.
FILE_BYTES = 36 << 20
FILES = 9


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strongroom]:
    base = tmp_path_factory.mktemp("several")
    count = str(PROCESSES)
    room = Strongroom(base / "home", STRONGROOM_WORKERS_BACKUP=count, STRONGROOM_WORKERS_RESTORE=count)
    with furnished(room, base / "repo"):
        room.run("up")
        yield room


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    for number in range(FILES):
        (folder / f"file-{number}").write_bytes(random.Random(number).randbytes(FILE_BYTES))
    return folder


def pool(room: Strongroom, role: str) -> list[int]:
    """The pool processes of a role."""
    info = running_stack(Home(room.home))
    assert info is not None
    parent = children_of(info.pid)[role]
    everybody = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in everybody if parent_of(pid) == parent]


def processor_time(pid: int) -> float:
    """Seconds that a process has run for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shares(before: dict[int, float]) -> list[float]:
    """What part of the processor time since `before` each process took."""
    taken = [processor_time(pid) - time for pid, time in before.items()]
    return [each / sum(taken) for each in taken]


def test_one_backup_and_one_restore_keep_every_process_busy(
    room: Strongroom, source: Path, tmp_path: Path
) -> None:
    backup, restore = pool(room, queues.BACKUP), pool(room, queues.RESTORE)
    assert len(backup) == len(restore) == PROCESSES
    before = {pid: processor_time(pid) for pid in backup}
    made = room.json("backup", "v", source)
    assert made["segments"] >= FILES - 1
    assert min(shares(before)) > 0.1
    before = {pid: processor_time(pid) for pid in restore}
    room.run("restore", "v", f"latest:{source}", "--target", tmp_path / "restored")
    assert min(shares(before)) > 0.1
    assert read_tree(tmp_path / "restored") == read_tree(source)
    assert pool(room, queues.BACKUP) == backup, "a process died"
    assert pool(room, queues.RESTORE) == restore, "a process died"
