"""Choosing cases, taking turns, and going on when something fails."""

from pathlib import Path

import pytest

from bench.bench import Steps, rotated
from bench.cases.all import ALL, choose
from bench.cases.single import SINGLE
from bench.cases.whole import BIG, TREE
from bench.errors import BenchError
from bench.measured import Result
from bench.processes import Run
from bench.programs.strongroom import last_object
from bench.programs.tar import TarZstd
from bench.programs.tool import Tool
from bench.run import main
from tests.bench.conftest import bench_with


def test_cases_are_chosen_by_name_and_measured_in_their_own_order() -> None:
    assert choose("all") == list(ALL)
    assert choose("big, tree") == [TREE, BIG]
    for wrong in ("tree,forest", "", "all,tree"):
        with pytest.raises(BenchError):
            choose(wrong)


def test_names_of_cases_are_distinct() -> None:
    assert len({case.name for case in ALL}) == len(ALL)


def test_an_unknown_case_or_tool_is_told_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--dir", str(tmp_path), "--cases", "forest"]) == 1
    assert main(["--dir", str(tmp_path), "--tools", "cp"]) == 1
    told = capsys.readouterr().err
    assert "no such case: forest" in told
    assert "no such tool: cp" in told
    assert not list(tmp_path.iterdir())


def test_another_program_begins_each_round() -> None:
    first, second = TarZstd(), TarZstd()
    assert rotated([first, second], 1) == [first, second]
    assert rotated([first, second], 2) == [second, first]
    assert rotated([], 3) == []


class Breaking(TarZstd):
    """Fails in its second step."""

    name = "breaking"
    key = "breaking"


def test_a_program_that_fails_is_left_out_and_loses_nothing_of_the_others(
    tmp_path: Path, source: Path
) -> None:
    bench = bench_with(tmp_path, [], source, rounds=3)
    turns: list[tuple[str, int]] = []

    def act(tool: Tool, place: Path, number: int) -> Steps:
        turns.append((tool.key, number))
        yield "first", Result(1.0, 1.0)
        if isinstance(tool, Breaking):
            (place / "left").touch()
            raise BenchError("broken")
        yield "second", Result(2.0, 2.0)

    bench.alternate("case", [Breaking(), TarZstd()], act)
    assert turns == [("breaking", 1), ("tar", 1), ("tar", 2), ("tar", 3)]
    assert [(each.tool, each.message) for each in bench.failures] == [("breaking", "broken")]
    assert len(bench.samples) == 1 + 3 * 2
    assert not list(bench.room.iterdir())


def test_whole_and_single_cases_restore_what_was_backed_up(tmp_path: Path, source: Path) -> None:
    bench = bench_with(tmp_path, [TarZstd()], source)
    for case in (TREE, BIG, SINGLE):
        case.run(bench)
    assert not bench.failures
    assert [(each.case, each.step, each.round) for each in bench.samples] == [
        *[
            (name, step, number)
            for name in ("tree", "big")
            for number in (1, 2)
            for step in ("backup", "restore")
        ],
        *[("single", "one file", 1)] * 3,
    ]
    assert not list(bench.room.iterdir())


def test_a_case_about_strongroom_alone_fails_without_it(tmp_path: Path, source: Path) -> None:
    with pytest.raises(BenchError, match="--tools"):
        bench_with(tmp_path, [TarZstd()], source).strongroom()


def test_what_a_command_reports_is_its_last_line() -> None:
    assert last_object(Run(0.0, 0.0, 'noise\n{"errors": 0}\n', 0)) == {"errors": 0}
    with pytest.raises(BenchError, match="no JSON"):
        last_object(Run(0.0, 0.0, "", 0))
