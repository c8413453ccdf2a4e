"""`strongroom diff` through real parts, against what a walk over the restored trees finds."""

import itertools
import os
import random
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.whole.room import Strongroom, make_tree
from tests.whole.trees import pad

GENERATIONS = 6


class History:
    """A tree, its snapshots, and each of them restored."""

    def __init__(self, room: Strongroom, folder: Path) -> None:
        self.room, self.folder, self.source = room, folder, folder / "source"
        self.repository = folder / "repository"
        self.snapshots: list[str] = []
        room.run(
            "vault", "create", "history", "--repo", self.repository.as_uri(), "--kms", "local-kms://main"
        )

    def keep(self) -> None:
        self.snapshots.append(self.room.json("backup", "history", self.source)["snapshot"])
        target = self.restored(len(self.snapshots) - 1)
        self.room.run("restore", "history", f"{self.snapshots[-1]}:{self.source}", "--target", target)

    def restored(self, number: int) -> Path:
        return self.folder / f"restored{number}"

    def diff(self, first: int, second: int, *more: str | Path) -> Any:
        return self.room.json("diff", "history", self.snapshots[first], self.snapshots[second], *more)


@pytest.fixture(scope="module")
def history(kept: Strongroom, tmp_path_factory: pytest.TempPathFactory) -> History:
    made = History(kept, tmp_path_factory.mktemp("history"))
    make_tree(made.source, files=300)
    for name in ("dir1", "dir3"):
        pad(made.source / name / "hole")  # ends a segment, and so a manifest
    with (made.source / "dir2" / "huge").open("wb") as file:  # comes in parts
        file.write(b"begin")
        file.truncate(200 << 20)
    made.keep()
    generator = random.Random(7)
    for number in range(1, GENERATIONS):
        change(made.source, generator, number)
        made.keep()
    return made


def change(source: Path, generator: random.Random, number: int) -> None:
    """A day's work: each kind of change there is."""
    files = sorted(path for path in source.rglob("*.txt") if path.is_file() and not path.is_symlink())
    generator.shuffle(files)
    for path in files[:3]:
        path.unlink()
    for path in files[3:6]:
        path.write_bytes(b"changed in generation %d" % number)
    for path in files[6:9]:
        os.utime(path, ns=(0, number * 10**18 // 7))
    files[9].chmod(0o600 + number)
    quietly(files[10], number)
    files[11].unlink()
    files[11].symlink_to("elsewhere")
    files[12].unlink()
    files[12].mkdir()
    (files[12] / "inside.txt").write_bytes(b"inside")
    files[13].rename(source / f"renamed{number}.txt")
    (source / f"new{number}").mkdir()
    (source / f"new{number}" / "new.txt").write_bytes(b"new %d" % number)
    if number > 1:
        shutil.rmtree(source / f"new{number - 1}")
    link = source / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(f"target{number // 2}")
    os.utime(link, ns=(1, 1), follow_symlinks=False)
    with (source / "dir2" / "huge").open("r+b") as file:
        file.seek(150 << 20)
        file.write(b"%d" % (number // 3))


def quietly(path: Path, number: int) -> None:
    """Other content of the same size, in place, and the old time."""
    before = path.stat()
    data = bytearray(path.read_bytes() or b"x")
    with path.open("r+b") as file:
        data[0] = (data[0] + number) % 256
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def walked(root: Path) -> dict[str, os.stat_result]:
    found = {"": root.lstat()}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            found[str(path)[len(str(root)) :]] = path.lstat()
    return found


def expected(one: Path, other: Path) -> dict[str, str]:
    """What differs in two folders, by path below them."""
    before, after = walked(one), walked(other)
    signs = dict.fromkeys(before.keys() - after.keys(), "-") | dict.fromkeys(
        after.keys() - before.keys(), "+"
    )
    for path in before.keys() & after.keys():
        old, new = before[path], after[path]
        same_metadata = (old.st_mode, old.st_mtime_ns, old.st_uid) == (
            new.st_mode,
            new.st_mtime_ns,
            new.st_uid,
        )
        ours, theirs = Path(str(one) + path), Path(str(other) + path)
        if stat.S_IFMT(old.st_mode) != stat.S_IFMT(new.st_mode):
            signs[path] = "T"
        elif stat.S_ISREG(old.st_mode) and not same_bytes(ours, theirs):
            signs[path] = "M?" if same_metadata and old.st_size == new.st_size else "M"
        elif stat.S_ISLNK(old.st_mode) and ours.readlink() != theirs.readlink():
            signs[path] = "M"
        elif not same_metadata:
            signs[path] = "U"
    return signs


def same_bytes(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        pieces = zip(
            iter(lambda: left.read(1 << 20), b""), iter(lambda: right.read(1 << 20), b""), strict=True
        )
        return all(ours == theirs for ours, theirs in pieces)


@pytest.mark.parametrize(
    ("first", "second"), [pair for pair in itertools.product(range(GENERATIONS), repeat=2) if sum(pair) % 3]
)
def test_a_difference_is_that_of_the_restored_trees(history: History, first: int, second: int) -> None:
    found = history.diff(first, second, "--metadata")
    signs = {line["path"].removeprefix(str(history.source)): line["modifier"] for line in found["changes"]}
    wanted = expected(history.restored(first), history.restored(second))
    assert signs == wanted
    paths = [line["path"].replace("/", "\0") for line in found["changes"]]
    assert paths == sorted(paths)
    if first != second:
        assert set(wanted.values()) >= {"+", "-", "M", "U"}
    one, other = walked(history.restored(first)), walked(history.restored(second))
    for name, side, tree in (("added", "+", other), ("removed", "-", one)):
        lone = [tree[path] for path, sign in wanted.items() if sign == side]
        assert found[name]["files"] == sum(stat.S_ISREG(each.st_mode) for each in lone)
        assert found[name]["dirs"] == sum(stat.S_ISDIR(each.st_mode) for each in lone)
        size = sum(
            tree[path].st_size
            for path, sign in wanted.items()
            if sign[0] in (side, "M", "T") and stat.S_ISREG(tree[path].st_mode)
        )
        assert found[name]["bytes"] == size
    assert found["metadata_changes"] == sum(sign == "U" for sign in wanted.values())
    assert found["changed_files"] == sum(sign[0] == "M" for sign in wanted.values())


def test_every_sign_occurs(history: History) -> None:
    found = {
        line["modifier"]
        for number in range(1, GENERATIONS)
        for line in history.diff(number - 1, number, "--metadata")["changes"]
    }
    assert found == {"+", "-", "M", "M?", "T", "U"}


def test_metadata_is_told_on_request_and_a_path_narrows_it(history: History) -> None:
    everything = history.diff(0, 1, "--metadata")["changes"]
    told = history.diff(0, 1)
    assert told["changes"] == [line for line in everything if line["modifier"] != "U"]
    below = history.diff(0, 1, history.source / "dir1", "--metadata")["changes"]
    assert below == [line for line in everything if f"{line['path']}/".startswith(f"{history.source}/dir1/")]
    assert below
    name = history.source / "nowhere"
    said = history.room.run("diff", "history", history.snapshots[0], "latest", name, code=1).stderr
    assert "is in neither snapshot" in said


def test_what_is_printed(history: History) -> None:
    lines = history.room.run("diff", "history", history.snapshots[0][:8], history.snapshots[1][:8]).stdout
    assert f"+    {history.source}/new1/\n+    {history.source}/new1/new.txt\n" in lines
    assert "    files  " in lines


def test_what_both_snapshots_share_is_not_read(history: History, tmp_path: Path) -> None:
    """It is not there to be read, and the difference is the same."""
    for name in ("a", "b", "c"):
        (tmp_path / "shared" / name).mkdir(parents=True)
        for number in range(50):
            (tmp_path / "shared" / name / f"file{number}").write_bytes(b"%d" % number)
        pad(tmp_path / "shared" / name / "hole")
    room, repo = history.room, tmp_path / "repository"
    room.run("vault", "create", "shared", "--repo", repo.as_uri(), "--kms", "local-kms://main")
    room.run("backup", "shared", tmp_path / "shared")
    before = set((repo / "manifests").iterdir())
    (tmp_path / "shared" / "b" / "file7").write_bytes(b"other")
    room.run("backup", "shared", tmp_path / "shared")
    first, second = (line["id"] for line in room.json("snapshots", "shared"))
    found = room.json("diff", "shared", first, second)
    assert [(line["modifier"], line["path"]) for line in found["changes"]] == [
        ("M", f"{tmp_path}/shared/b/file7")
    ]
    assert 2 <= found["manifests_read"] < found["manifests"]
    removed = 0
    for path in sorted(before):
        aside = path.with_name("." + path.name)
        path.rename(aside)
        done = room.run("diff", "shared", first, second, "--json", code=None)
        if done.returncode:
            aside.rename(path)
        else:
            removed += 1
    assert removed == found["manifests"] // 2 - found["manifests_read"] // 2
    assert room.json("diff", "shared", first, second) == found
