"""The measurement of a check runs, and a check's memory does not grow with the vault."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench import check

FEW, MANY = 20_000, 140_000
IN_MEMORY = 256 << 10
A_CHUNK = 45
"""Bytes of a chunk in an index that is held in memory, without what finds it there."""


def test_it_measures_a_small_vault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["--entries", "3000", "--dir", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["entries"] == 3000
    # Each pack and manifest, the snapshot, the index object, two keys and the configuration.
    assert found["extend"]["names"] == -(-3000 // 64) + 3 + 1 + 1 + 2 + 1
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_vault() -> None:
    small, large = measured(FEW), measured(MANY)
    for step in small:
        assert large[step] - small[step] < (MANY - FEW) * A_CHUNK, step


# One index object at a time is in memory: let them be small, as those of nightly backups are.
MEASURE = """
import json, pathlib, sys
from bench import check, index
index.AN_OBJECT = 4096
found = check.measure(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
print(json.dumps({step: found[step]["grown"] for step in ("check", "extend")}))
"""


def measured(entries: int) -> dict[str, float]:
    """Bytes of memory that each step needs in a process of its own, with little room for sorting.

    They are forked by an interpreter that did nothing before: what this one has freed would be room for them.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        command = [sys.executable, "-c", MEASURE, name, str(entries), str(IN_MEMORY)]
        said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        assert list((Path(name) / "scratch").iterdir()) == [], "nothing is left"
    found: dict[str, float] = json.loads(said)
    return found
