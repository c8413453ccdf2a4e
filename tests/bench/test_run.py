"""A whole measurement, as small as can be: a real stack, real programs, tables, no leftovers."""

from pathlib import Path

import pytest

from bench import report
from bench.run import main

TINY = ["--quick", "--files", "120", "--tree-mb", "1", "--random-mb", "1"]


@pytest.mark.timeout(120)
def test_a_tiny_measurement_ends_in_tables_and_leaves_nothing(tmp_path: Path, source: Path) -> None:
    place, results = tmp_path / "place", tmp_path / "results"
    place.mkdir()
    where = ["--dir", str(place), "--results", str(results), "--source", str(source)]
    code = main([*TINY, *where, "--tools", "strongroom,tar", "--cases", "tree,changed"])
    found = report.load(results / "quick.json")
    assert not found.failures
    assert code == 0
    steps = {(each.case, each.tool, each.step) for each in found.samples}
    assert steps == {
        ("tree", "strongroom", "backup"),
        ("tree", "strongroom", "unchanged"),
        ("tree", "strongroom", "restore"),
        ("tree", "tar + zstd -1 -T2", "backup"),
        ("tree", "tar + zstd -1 -T2", "restore"),
        ("changed", "strongroom", "changed"),
    }
    backup = next(each.result for each in found.samples if each.tool == "strongroom")
    assert {"backup", "command", "scheduler", "key-broker", "supervisor", "valkey"} <= set(backup.peak)
    assert backup.stored
    assert backup.kms_calls
    assert not list(place.iterdir())


def test_a_case_without_room_fails_alone(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.run.free_bytes", lambda _folder: 1 << 20)
    where = ["--dir", str(tmp_path), "--results", str(tmp_path / "results"), "--source", str(source)]
    assert main([*TINY, *where, "--tools", "tar", "--cases", "tree,big"]) == 1
    found = report.load(tmp_path / "results" / "quick.json")
    assert [each.case for each in found.failures] == ["tree", "big"]
    assert "roomier --dir" in (tmp_path / "results" / "quick.md").read_text()
