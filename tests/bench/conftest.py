"""A small tree to measure with, and a bench that writes down."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import data
from bench.bench import Bench
from bench.material import Material
from bench.programs.tool import Tool
from bench.sizes import Sizes

SIZES = Sizes(files=7, tree_bytes=700, random=50_000, many=450, few=210, releases=2, probe_mb=1)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    for name in ("a", "below/b", "below/c"):
        (folder / name).write_bytes(name.encode() * 50)
    return folder


@pytest.fixture
def tree(tmp_path: Path, source: Path) -> data.Dataset:
    return data.make_tree(tmp_path / "tree", [source], SIZES)


def bench_with(tmp_path: Path, tools: Sequence[Tool], source: Path, rounds: int = 2) -> Bench:
    room = tmp_path / "room"
    room.mkdir()
    said: list[str] = []
    return Bench(
        tools=tools,
        installation=None,
        material=Material(tmp_path / "data", SIZES, [source], said.append),
        room=room,
        downloads=tmp_path / "downloads",
        rounds=rounds,
        quick=True,
        say=said.append,
    )
