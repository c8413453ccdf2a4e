"""A million small files against fifty thousand of the same make."""

import os
from dataclasses import replace
from pathlib import Path

from bench.bench import Bench, Steps
from bench.cases.case import Case
from bench.programs.strongroom import Strongroom
from bench.programs.tool import Tool

IN_FOLDER = 200
_FOLDERS_IN_FOLDER = 100
_SHORTEST, _LONGEST = 100, 300
_WORDS = 1 << 16


class _Files(Strongroom):
    """Strongroom under a name that says how many files it is given."""

    def __init__(self, strongroom: Strongroom, files: int) -> None:
        super().__init__(strongroom.installation)
        self.files = files
        self.name = f"strongroom, {files:,} files"
        self.key = f"strongroom-{files}"


def make_files(folder: Path, count: int) -> int:
    """Make `count` different files of 100 to 300 bytes, 200 in a folder, 100 folders in a folder; returns bytes."""
    words = os.urandom(_WORDS).hex().encode()
    total = 0
    for number in range(count):
        batch, index = divmod(number, IN_FOLDER)
        if index == 0:
            parent = folder / f"{batch // _FOLDERS_IN_FOLDER:03}" / f"{batch % _FOLDERS_IN_FOLDER:02}"
            parent.mkdir(parents=True)
            prefix = f"{parent}/"
        length = _SHORTEST + number * 37 % (_LONGEST - _SHORTEST)
        start = number * 101 % (len(words) - _LONGEST)
        text = b"%d %b" % (number, words[start : start + length])
        descriptor = os.open(f"{prefix}{index}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        total += os.write(descriptor, text[:length])
        os.close(descriptor)
    return total


def _run(bench: Bench) -> None:
    strongroom = bench.strongroom()
    sizes = bench.material.sizes
    bench.material.drop()
    programs = [_Files(strongroom, sizes.few), _Files(strongroom, sizes.many)]
    with bench.place("many") as base:
        folders = {}
        for each in programs:
            folders[each.name] = base / str(each.files)
            total = make_files(folders[each.name], each.files)
            bench.note("many", f"{each.files:,} files, {total:,} bytes, {IN_FOLDER} files in a folder.")

        def act(tool: Tool, place: Path, number: int) -> Steps:
            del number
            assert isinstance(tool, _Files)
            for step in ("backup", "unchanged"):
                yield step, replace(tool.backup(folders[tool.name], place), files=tool.files)

        bench.alternate("many", programs, act)


MANY = Case(
    "many",
    "Synthetic small files of one make, few and many: time for each file, and the memory that the processes need.",
    _run,
    cell="each",
    room=7.0,
)
