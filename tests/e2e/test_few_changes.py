"""Many backups of a tree in which a little changes each time: small ones, and every one of them comes back."""

import os
import random
import shutil
from pathlib import Path

from tests.whole.room import Strongroom, read_tree

FILES = 600
BACKUPS = 10


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_ten_backups_with_a_few_changes_each(stack: Strongroom, tmp_path: Path) -> None:
    dice = random.Random(7)
    source, repo = tmp_path / "source", tmp_path / "repo"
    for number in range(FILES):
        path = source / f"{number % 7}" / f"file-{number:04d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(300))
    first = stack.json("backup", "v", source)
    made = [(first["snapshot"], read_tree(source))]
    whole = size_of(repo / "manifests")
    for number in range(BACKUPS):
        changed, removed, renamed, touched = dice.sample(
            sorted(path for path in source.rglob("*") if path.is_file()), 4
        )
        changed.write_bytes(dice.randbytes(200))
        removed.unlink()
        renamed.rename(source / f"{number % 7}" / f"renamed-{number}")
        os.utime(touched, ns=(number, number))
        made.append((stack.json("backup", "v", source)["snapshot"], read_tree(source)))
    # Of eleven manifests only two or three are whole.
    assert size_of(repo / "manifests") < 4 * whole
    stack.run("check", "v", "--read-data")
    for snapshot, content in made:
        target = tmp_path / "target"
        stack.run("restore", "v", f"{snapshot}:{source}", "--target", target)
        assert read_tree(target) == content
        shutil.rmtree(target)
    listed = stack.run("ls", "v", made[-1][0]).stdout
    assert all(Path(name).name in listed for name in made[-1][1])


def test_a_damaged_base_is_named_for_each_snapshot(stack: Strongroom, tmp_path: Path) -> None:
    source, repo = tmp_path / "source", tmp_path / "repo"
    source.mkdir()
    for number in range(300):
        (source / f"file-{number:04d}").write_bytes(b"content %d" % number)
    first = stack.json("backup", "v", source)["snapshot"]
    (base,) = (repo / "manifests").iterdir()
    (source / "file-0007").write_bytes(b"changed")
    second = stack.json("backup", "v", source)["snapshot"]
    base.write_bytes(base.read_bytes()[:-1])
    checked = stack.run("check", "v", code=None)
    assert checked.returncode != 0
    assert base.name in checked.stdout + checked.stderr
    for snapshot in (first, second):
        assert snapshot[:8] in checked.stdout + checked.stderr
        done = stack.run(
            "restore", "v", f"{snapshot}:{source}", "--target", tmp_path / snapshot, "--json", code=None
        )
        assert done.returncode != 0
        assert base.name in done.stdout
    # What is on the disk is described anew, whole.
    third = stack.json("backup", "v", source)["snapshot"]
    stack.run("restore", "v", f"{third}:{source}", "--target", tmp_path / "third")
    assert read_tree(tmp_path / "third") == read_tree(source)
