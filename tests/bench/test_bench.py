"""The harness itself: data that is what it says, differences that are noticed, processor time that is counted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import data, report
from bench.errors import BenchError
from bench.processes import cpu_of_descendants, run, shell
from bench.rounds import measure
from bench.tools import Result, TarZstd

SIZES = data.Sizes(files=7, tree_bytes=700, random=50_000)
BURN = "import time\nwhile time.process_time() < 0.2: pass"


@pytest.fixture
def tree(tmp_path: Path) -> data.Dataset:
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    for name in ("a", "below/b", "below/c"):
        (source / name).write_bytes(name.encode() * 50)
    return data.make_tree(tmp_path / "tree", [source], SIZES)


def test_a_tree_has_the_files_asked_for_and_no_two_copies_are_alike(tree: data.Dataset) -> None:
    contents = [path.read_bytes() for path in tree.folder.rglob("*") if path.is_file()]
    assert len(contents) == tree.files >= SIZES.files
    assert sum(map(len, contents)) == tree.bytes >= SIZES.tree_bytes
    assert len(set(contents)) == len(contents)
    assert tree.salted == tree.files - 3


def test_an_empty_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="--source"):
        data.make_tree(tmp_path / "tree", [tmp_path], SIZES)


@pytest.mark.parametrize("harm", ["byte", "missing", "extra", "mode", "mtime"])
def test_a_restore_that_differs_is_noticed(tree: data.Dataset, tmp_path: Path, harm: str) -> None:
    other = tmp_path / "other"
    run(["cp", "-a", str(tree.folder), str(other)])
    data.compare(tree.folder, other)
    victim = next(path for path in sorted(other.rglob("*")) if path.is_file())
    before = victim.stat()
    if harm == "byte":
        victim.write_bytes(bytes([victim.read_bytes()[0] ^ 1]) + victim.read_bytes()[1:])
        os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif harm == "missing":
        victim.unlink()
    elif harm == "extra":
        (other / "extra").touch()
    elif harm == "mode":
        victim.chmod(0o600)
    else:
        os.utime(victim, (1, 1))
    with pytest.raises(BenchError, match="differ"):
        data.compare(tree.folder, other)


def test_a_failing_program_stops_the_measurement() -> None:
    with pytest.raises(BenchError, match=r"exited with 3:\nwhy"):
        run(["sh", "-c", "echo why >&2; exit 3"])
    with pytest.raises(BenchError, match="exited with 1"):
        shell("false | cat")


def test_processor_time_counts_children() -> None:
    burning = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', '''{BURN}'''])"
    assert run([sys.executable, "-c", burning]).cpu > 0.15
    keeps_running = f"{burning}\nprint(flush=True)\nsys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", keeps_running],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        assert cpu_of_descendants(child.pid) > 0.15
        assert child.stdin is not None
        child.stdin.close()
    assert cpu_of_descendants(child.pid) == 0


def test_a_measurement_ends_in_a_table(tree: data.Dataset, tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    told: list[str] = []
    samples = measure([TarZstd()], [tree], 2, room, told.append)
    assert len(samples) == len(told) == 2
    assert not list(room.iterdir())
    found = report.Report(
        machine=report.machine(),
        file_system=report.file_system(tmp_path),
        rounds=2,
        datasets=[tree],
        versions={TarZstd.name: "1", "restic": None},
        stack={},
        samples=samples,
    )
    table, numbers = report.write(found, tmp_path / "results", "quick")
    assert "| restic | not installed |" in table.read_text()
    assert str(tmp_path) not in table.read_text() + numbers.read_text()


def test_medians_are_taken_of_each_column() -> None:
    assert report._seconds([Result(1, 30), Result(3, 10), Result(2, 20)]) == "2.00 s (20.0 s)"
