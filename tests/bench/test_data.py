"""Data that is what it says, and differences that are noticed."""

import os
from pathlib import Path

import pytest

from bench import data
from bench.cases.many import make_files
from bench.errors import BenchError
from bench.material import Material
from bench.processes import run
from tests.bench.conftest import SIZES


def test_a_tree_has_the_files_asked_for_and_no_two_copies_are_alike(tree: data.Dataset) -> None:
    contents = [path.read_bytes() for path in tree.folder.rglob("*") if path.is_file()]
    assert len(contents) == tree.files >= SIZES.files
    assert sum(map(len, contents)) == tree.bytes >= SIZES.tree_bytes
    assert len(set(contents)) == len(contents)
    assert tree.salted == tree.files - 3


def test_an_empty_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="--source"):
        data.make_tree(tmp_path / "tree", [tmp_path], SIZES)


def test_big_data_is_two_large_files_and_a_small_one_between_them(tree: data.Dataset, tmp_path: Path) -> None:
    big = data.make_big(tmp_path / "big", tree.folder, SIZES)
    names = sorted(path.name for path in big.folder.iterdir())
    assert names == ["random.bin", data.SMALL_NAME, "tree.tar"]
    assert big.files == len(names)
    assert big.bytes == sum(path.stat().st_size for path in big.folder.iterdir())


def test_what_was_dropped_is_made_again(tmp_path: Path, source: Path) -> None:
    material = Material(tmp_path / "data", SIZES, [source], lambda _line: None)
    assert material.tree() is material.tree()
    assert [made.name for made in material.made()] == ["tree"]
    material.drop()
    assert not material.folder.exists()
    assert material.big().folder.is_dir()
    assert [made.name for made in material.made()] == ["tree", "big"]


def test_synthetic_files_are_short_different_and_two_hundred_in_a_folder(tmp_path: Path) -> None:
    total = make_files(tmp_path / "many", 450)
    contents = [path.read_bytes() for path in (tmp_path / "many").rglob("*") if path.is_file()]
    assert len(set(contents)) == len(contents) == 450
    assert sum(map(len, contents)) == total
    assert {100 <= len(content) <= 300 for content in contents} == {True}
    assert max(len(files) for _parent, _folders, files in os.walk(tmp_path / "many")) == 200


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
