"""The backup after one file in a hundred was changed, renamed or touched."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.bench import Bench, Steps
from bench.cases.case import Case
from bench.programs.tool import Tool

ONE_IN = 100
_ADDED = b"\n# one more line\n"
_LATER_NS = 60 * 10**9


@dataclass(frozen=True)
class Changes:
    """Relative paths; a third of the choice each.

    Attributes:
        rewritten: get one more line.
        renamed: old and new path; every other one into another folder.
        touched: get a later mtime and nothing else.
    """

    rewritten: Sequence[str]
    renamed: Sequence[tuple[str, str]]
    touched: Sequence[str]


def choose(paths: Sequence[str], one_in: int = ONE_IN) -> Changes:
    """Choose evenly among `paths`, the same each time.

    Args:
        paths: relative, of files; sorted.
    """
    chosen = paths[one_in // 2 :: one_in]
    rewritten, moving, touched = chosen[0::3], chosen[1::3], chosen[2::3]
    taken = set(paths)
    renamed = []
    for number, old in enumerate(moving):
        # Half of a moved file's new neighbours are in its old folder, half in one far away.
        folder = os.path.dirname(old) if number % 2 == 0 else os.path.dirname(paths[number])
        new = os.path.join(folder, f"moved-{number}-{os.path.basename(old)}")
        if new not in taken:
            renamed.append((old, new))
    return Changes(rewritten, renamed, touched)


@contextmanager
def changed(folder: Path, changes: Changes) -> Iterator[None]:
    """Have the changes in a folder; afterwards everything has its old name, bytes and mtime."""
    lengths = {}
    times = {}
    try:
        for name in changes.rewritten:
            times[name] = os.stat(folder / name).st_mtime_ns
            lengths[name] = os.path.getsize(folder / name)
            with (folder / name).open("ab") as file:
                file.write(_ADDED)
        for name in changes.touched:
            times[name] = os.stat(folder / name).st_mtime_ns
            _set_mtime(folder / name, times[name] + _LATER_NS)
        for old, new in changes.renamed:
            (folder / old).rename(folder / new)
        yield
    finally:
        for old, new in changes.renamed:
            if (folder / new).exists():
                shutil.move(folder / new, folder / old)
        for name, length in lengths.items():
            os.truncate(folder / name, length)
        for name, mtime in times.items():
            _set_mtime(folder / name, mtime)


def _set_mtime(path: Path, ns: int) -> None:
    os.utime(path, ns=(os.stat(path).st_atime_ns, ns))


def _run(bench: Bench) -> None:
    data = bench.material.tree()
    paths = sorted(
        os.path.relpath(os.path.join(parent, name), data.folder)
        for parent, _folders, names in os.walk(data.folder)
        for name in names
    )
    changes = choose(paths)
    bench.note(
        "changed",
        f"{len(changes.rewritten)} files got a line more, {len(changes.renamed)} were renamed (every other one into "
        f"another folder), {len(changes.touched)} were touched, of {len(paths):,}.",
    )

    def act(tool: Tool, place: Path, number: int) -> Steps:
        del number
        before = tool.backup(data.folder, place)
        with changed(data.folder, changes):
            after = tool.backup(data.folder, place)
        yield "changed", replace(after, added=(after.stored or 0) - (before.stored or 0))

    bench.alternate("changed", [tool for tool in bench.tools if tool.increments], act)


CHANGED = Case(
    "changed",
    "The second backup of the tree, after one file in a hundred was changed, renamed or touched (a third each). *new* "
    "is what the repository grew by.",
    _run,
)
