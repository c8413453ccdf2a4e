"""Which files are changed, and that they are as before afterwards."""

import os
from pathlib import Path

from bench import data
from bench.cases.changed import changed, choose

PATHS = sorted(f"{folder}/{number:04}" for folder in "abcdef" for number in range(500))


def test_one_file_in_a_hundred_is_chosen_a_third_for_each_kind_always_the_same() -> None:
    changes = choose(PATHS)
    assert changes == choose(PATHS)
    old = [name for name, _new in changes.renamed]
    chosen = [*changes.rewritten, *old, *changes.touched]
    assert len(set(chosen)) == len(chosen) == len(PATHS) // 100
    assert set(chosen) <= set(PATHS)
    assert len(changes.rewritten) == len(changes.renamed) == len(changes.touched)


def test_files_are_renamed_within_their_folder_and_into_others_and_never_over_another() -> None:
    renamed = choose(PATHS).renamed
    within = [old for old, new in renamed if os.path.dirname(old) == os.path.dirname(new)]
    assert 0 < len(within) < len(renamed)
    assert not {new for _old, new in renamed} & set(PATHS)


def test_too_few_files_are_no_trouble() -> None:
    assert choose([]) == choose(["a"])
    assert len(choose([f"{n:03}" for n in range(100)]).rewritten) == 1


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_changes_are_there_and_gone_afterwards(tree: data.Dataset) -> None:
    before = state(tree.folder)
    changes = choose(sorted(before), one_in=2)
    with changed(tree.folder, changes):
        within = state(tree.folder)
    assert changes.rewritten
    assert changes.touched
    for name in changes.rewritten:
        assert within[name][0].startswith(before[name][0])
        assert len(within[name][0]) > len(before[name][0])
    for name in changes.touched:
        assert within[name][0] == before[name][0]
        assert within[name][1] > before[name][1]
    for old, new in changes.renamed:
        assert old not in within
        assert within[new] == before[old]
    assert state(tree.folder) == before
