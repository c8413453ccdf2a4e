"""`strongroom find` through real parts, against a walk over the trees as they were."""

import fnmatch
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.whole.room import Strongroom, make_tree
from tests.whole.trees import pad


class Searched:
    """A vault with snapshots of two hosts' trees, and which paths each had."""

    def __init__(self, room: Strongroom, folder: Path) -> None:
        self.room, self.source = room, folder / "source"
        self.repository = folder / "repository"
        self.paths: dict[str, set[str]] = {}
        room.run(
            "vault", "create", "searched", "--repo", self.repository.as_uri(), "--kms", "local-kms://main"
        )

    def keep(self, *more: str) -> str:
        snapshot: str = self.room.json("backup", "searched", self.source, *more)["snapshot"]
        self.paths[snapshot] = {
            os.path.join(folder, name)
            for folder, folders, files in os.walk(self.source)
            for name in (*folders, *files)
        } | {str(self.source)}
        return snapshot

    def find(self, *words: str, code: int = 0) -> dict[str, list[str]]:
        return {
            each["snapshot"]: [line["path"] for line in each["matches"]]
            for each in self.room.json("find", "searched", *words, code=code)
        }

    def expected(self, pattern: str) -> dict[str, set[str]]:
        """Paths of which a part is matched by a glob."""
        found = {
            snapshot: {
                path
                for path in paths
                if any(fnmatch.fnmatchcase(name, pattern) for name in path.split("/")[1:])
            }
            for snapshot, paths in self.paths.items()
        }
        return {snapshot: paths for snapshot, paths in found.items() if paths}


@pytest.fixture(scope="module")
def searched(kept: Strongroom, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    made = Searched(kept, tmp_path_factory.mktemp("searched"))
    make_tree(made.source, files=200)
    (made.source / "dir1" / "Report.ODT").write_bytes(b"report")
    for name in ("dir0", "dir2"):
        pad(made.source / name / "hole")
    os.utime(made.source / "dir2" / "file-0002.txt", (10**9, 10**9))
    made.keep("--tag", "first")
    for number in range(5):
        (made.source / "dir3" / f"new-{number}.txt").write_bytes(b"new")
        (made.source / "dir4" / f"file-{number * 5 + 4:04}.txt").unlink()
        made.keep("--tag", f"day{number}")
    return made


@pytest.mark.parametrize("pattern", ["*.txt", "file-000?.txt", "new-[13]*", "dir3", "Report.ODT", "*"])
def test_everything_that_matches_is_found_in_each_snapshot(searched: Searched, pattern: str) -> None:
    found = searched.find(pattern)
    assert {snapshot: set(paths) for snapshot, paths in found.items()} == searched.expected(pattern)
    assert list(found) == [each for each in reversed(searched.paths) if each in found], "the newest first"
    for paths in found.values():
        assert [path.replace("/", "\0") for path in paths] == sorted(
            path.replace("/", "\0") for path in paths
        )


def test_patterns_from_the_root_several_and_taken_back(searched: Searched) -> None:
    root = str(searched.source)
    for snapshot, paths in searched.find(f"{root}/dir3/new-*", f"{root}/dir1/R*").items():
        wanted = {path for path in searched.paths[snapshot] if "/new-" in path or "/Report" in path}
        assert set(paths) == wanted
    found = searched.find("*.txt", "!new-*")
    assert all("/new-" not in path for paths in found.values() for path in paths)


def test_options_choose(searched: Searched) -> None:
    snapshots = list(searched.paths)
    assert searched.find("report.odt") == {}
    assert len(searched.find("report.odt", "--ignore-case")) == len(snapshots)
    assert list(searched.find("dir3", "--tag", "first")) == [snapshots[0]]
    assert list(searched.find("dir3", "--snapshot", "latest", "-s", snapshots[0][:8])) == [
        snapshots[-1],
        snapshots[0],
    ]
    assert (
        "no snapshot of this vault"
        in searched.room.run("find", "searched", "dir3", "--host", "other", code=1).stderr
    )
    old = searched.source / "dir2" / "file-0002.txt"
    assert searched.find("file-*", "-N", "2005-01-01", "-s", "latest") == {snapshots[-1]: [str(old)]}
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    assert str(old) not in searched.find("file-*", "-O", "2005-01-01 10:00", "-s", "latest")[snapshots[-1]]
    assert searched.find("file-*", "-O", "2100-01-01", "-s", "latest") == {}
    assert "is not a date" in searched.room.run("find", "searched", "x", "-O", f"{day}x", code=2).stderr


def test_what_is_printed(searched: Searched) -> None:
    done = searched.room.run("find", "searched", "new-4.txt", "--long")
    (heading, line) = done.stdout.splitlines()
    assert heading.startswith(f"snapshot {list(searched.paths)[-1][:12]} of ")
    assert line.startswith("-rw")
    assert line.endswith(f" {searched.source}/dir3/new-4.txt")
    done = searched.room.run("find", "searched", "nothing-like-it")
    assert (done.stdout, done.stderr) == ("", "nothing matches\n")


def test_what_cannot_be_read_is_named_and_the_rest_found(searched: Searched) -> None:
    """And a pattern from the root does not even look there."""
    root = searched.source
    whole: dict[str, Any] = searched.find("file-*")
    lost = kept_by(searched, root / "dir0" / "file-0000.txt")
    aside = lost.with_name("." + lost.name)
    lost.rename(aside)
    try:
        done = searched.room.run("find", "searched", "file-*", code=3)
        assert "may match" in done.stderr
        found = searched.find("file-*", code=3)
        assert found.keys() == whole.keys()
        for snapshot, paths in whole.items():
            missing = set(paths) - set(found[snapshot])
            assert missing
            assert set(found[snapshot]) == set(paths) - missing
        assert searched.find(f"{root}/dir3/new-*")
    finally:
        aside.rename(lost)
    assert searched.find("file-*") == whole


def kept_by(searched: Searched, path: Path) -> Path:
    """The manifest that has a path in all snapshots: without it, the path is found in none."""
    for manifest in sorted((searched.repository / "manifests").iterdir()):
        aside = manifest.with_name("." + manifest.name)
        manifest.rename(aside)
        done = searched.room.run("find", "searched", str(path), code=None)
        aside.rename(manifest)
        if done.returncode == 3:
            return manifest
    raise AssertionError("no manifest has it")
