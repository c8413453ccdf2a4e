"""The main job: a tree goes in, and comes back, through real parts; and what each command says of it."""

import ctypes
import os
import random
import select
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.whole.room import Strongroom, furnished, make_tree, read_tree
from tests.whole.trees import SEGMENT, Watch, differences, make_nasty, picture
from workers.backup.parts import PartSizes, parts

BACKUP_FIELDS = {
    "snapshot", "files", "dirs", "bytes_read", "bytes_stored", "chunks_new", "chunks_reused", "errors", "seconds",
    "kms_calls",
}  # fmt: skip
RESTORE_FIELDS = {"snapshot", "files", "bytes_restored", "errors", "seconds", "kms_calls", "failed"}
SNAPSHOT_FIELDS = {"id", "time", "paths", "tags", "files", "bytes"}


class Tree:
    """A tree in a vault of its own, and the commands about it."""

    def __init__(self, room: Strongroom, vault: str, folder: Path) -> None:
        self.room, self.vault, self._folder = room, vault, folder
        self.source = folder / "source"
        repository = (folder / "repository").as_uri()
        room.run("vault", "create", vault, "--repo", repository, "--kms", "local-kms://main")

    def back_up(self, *more: str, code: int = 0) -> Any:
        return self.room.json("backup", self.vault, self.source, *more, code=code)

    def restore(self, what: str, *more: str, code: int = 0) -> tuple[Any, Path]:
        """The result, and where the source's content is: below its path, or right in the target."""
        target = self._folder / f"target{len(list(self._folder.iterdir()))}"
        done = self.room.json("restore", self.vault, what, "--target", target, *more, code=code)
        return done, target

    def under(self, target: Path) -> Path:
        """The source's place in a restored snapshot."""
        return target / self.source.relative_to("/")


@pytest.fixture
def tree(kept: Strongroom, tmp_path: Path) -> Tree:
    made = Tree(kept, f"v{tmp_path.parent.name[-6:]}-{tmp_path.name[:40]}", tmp_path)
    made.source.mkdir()
    return made


@pytest.fixture(scope="module")
def stored(
    kept: Strongroom, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Tree, dict[str, bytes], list[Any]]:
    """A tree with two snapshots, its content, and what the two backups said; only read by the tests."""
    made = Tree(kept, "stored", tmp_path_factory.mktemp("stored"))
    content = make_tree(made.source)
    (made.source / "dir0" / "scratch.tmp").write_bytes(b"left out")
    first = made.back_up("--tag", "evening", "--tag", "second word", "--exclude", "*.tmp")
    second = made.back_up("--exclude", "*.tmp")
    return made, content, [first, second]


def test_a_backup_says_what_it_did(stored: tuple[Tree, dict[str, bytes], list[Any]]) -> None:
    _, content, (first, second) = stored
    size = sum(map(len, content.values()))
    for result in (first, second):
        assert result.keys() >= BACKUP_FIELDS
        assert (result["files"], result["dirs"], result["errors"]) == (len(content), 6, 0)
        assert result["seconds"] > 0
        assert result["kms_calls"] >= 0
    assert first["bytes_read"] == size
    assert 0 < first["bytes_stored"] < size
    assert first["chunks_new"] >= 1
    assert first["kms_calls"] > 0
    assert len(first["snapshot"]) == 32


def test_an_unchanged_backup_reads_and_stores_nothing(
    stored: tuple[Tree, dict[str, bytes], list[Any]],
) -> None:
    _, _, (first, second) = stored
    assert second["snapshot"] != first["snapshot"]
    assert (second["bytes_read"], second["bytes_stored"], second["chunks_new"]) == (0, 0, 0)


def test_snapshots(stored: tuple[Tree, dict[str, bytes], list[Any]]) -> None:
    tree, content, (first, second) = stored
    found = tree.room.json("snapshots", "stored")
    assert [each["id"] for each in found] == [first["snapshot"], second["snapshot"]]
    assert all(each.keys() >= SNAPSHOT_FIELDS for each in found)
    assert found[0]["tags"] == ["evening", "second word"]
    assert found[1]["tags"] == []
    assert found[0]["paths"] == [str(tree.source)]
    assert (found[0]["files"], found[0]["bytes"]) == (len(content), sum(map(len, content.values())))
    assert found[0]["time"] < found[1]["time"]
    words = tree.room.run("snapshots", "stored").stdout
    assert first["snapshot"][:12] in words
    assert "evening" in words


def test_ls(stored: tuple[Tree, dict[str, bytes], list[Any]]) -> None:
    tree, content, (first, _) = stored
    everything = tree.room.json("ls", "stored", first["snapshot"])
    files = {each["path"]: each for each in everything if each["type"] == "file"}
    assert set(files) == {str(tree.source / name) for name in content}
    part = tree.room.json("ls", "stored", f"latest:{tree.source}/dir1")
    assert {each["path"] for each in part} == {
        str(tree.source / "dir1"), *(path for path in files if "/dir1/" in path)
    }  # fmt: skip
    one = tree.source / "dir1" / "file-0001.txt"
    (line,) = tree.room.json("ls", "stored", f"{first['snapshot'][:8]}:{one}")
    st = one.stat()
    assert (line["size"], line["mode"], line["mtime_ns"]) == (st.st_size, st.st_mode, st.st_mtime_ns)
    assert "file-0001.txt" in tree.room.run("ls", "stored", "latest").stdout


@pytest.mark.parametrize("snapshot", ["latest", "id", "prefix"])
def test_a_whole_snapshot_lands_under_its_paths(
    stored: tuple[Tree, dict[str, bytes], list[Any]], snapshot: str
) -> None:
    tree, content, (first, second) = stored
    expected = second if snapshot == "latest" else first
    name = {"latest": "latest", "id": first["snapshot"], "prefix": first["snapshot"][:6]}[snapshot]
    done, target = tree.restore(name)
    assert done.keys() >= RESTORE_FIELDS
    assert (done["snapshot"], done["files"], done["errors"]) == (expected["snapshot"], len(content), 0)
    assert done["bytes_restored"] == sum(map(len, content.values()))
    assert done["failed"] == []
    assert read_tree(tree.under(target)) == content


def test_the_content_of_a_path_lands_in_the_target(stored: tuple[Tree, dict[str, bytes], list[Any]]) -> None:
    tree, content, _ = stored
    done, target = tree.restore(f"latest:{tree.source}/dir1")
    expected = {name[5:]: data for name, data in content.items() if name.startswith("dir1/")}
    assert read_tree(target) == expected
    assert done["files"] == len(expected)


def test_a_single_file_lands_under_its_name(stored: tuple[Tree, dict[str, bytes], list[Any]]) -> None:
    tree, content, _ = stored
    done, target = tree.restore(f"latest:{tree.source}/dir2/file-0002.txt")
    assert read_tree(target) == {"file-0002.txt": content["dir2/file-0002.txt"]}
    assert done["files"] == 1


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--include", "file-000*"), lambda name: "file-000" in name),
        (("--include", "{}/dir3"), lambda name: name.startswith("dir3/")),
        (("--exclude", "dir4"), lambda name: not name.startswith("dir4/")),
        (("--exclude", "{}/dir0"), lambda name: not name.startswith("dir0/")),
        (("--include", "dir3", "--exclude", "*1?.txt"), lambda name: name[:5] == "dir3/" and name[-6] != "1"),
    ],
)
def test_patterns_choose_what_is_restored(
    stored: tuple[Tree, dict[str, bytes], list[Any]], options: tuple[str, ...], wanted: Callable[[str], bool]
) -> None:
    tree, content, _ = stored
    expected = {name: data for name, data in content.items() if wanted(name)}
    assert 0 < len(expected) < len(content), "the pattern would show nothing"
    done, target = tree.restore("latest", *(option.format(tree.source) for option in options))
    assert read_tree(tree.under(target)) == expected
    assert done["files"] == len(expected)


def test_what_is_excluded_is_not_in_the_snapshot(stored: tuple[Tree, dict[str, bytes], list[Any]]) -> None:
    tree, _, _ = stored
    assert not [line for line in tree.room.json("ls", "stored", "latest") if line["path"].endswith(".tmp")]


def test_check_finds_nothing_wrong(stored: tuple[Tree, dict[str, bytes], list[Any]]) -> None:
    tree, _, _ = stored
    assert tree.room.json("check", "stored")["errors"] == 0
    found = tree.room.json("check", "stored", "--read-data")
    assert (found["problems"], found["snapshots"]) == ([], 2)
    assert found["chunks_read"] == found["chunks"] > 0


def test_everything_about_a_nasty_tree_comes_back(kept: Strongroom, tmp_path: Path) -> None:
    tree = Tree(kept, "nasty", tmp_path)
    left_out = make_nasty(tree.source)
    before = picture(tree.source)
    result = tree.back_up()
    assert result["errors"] == 0, result
    assert result["segments"] >= 4, "names of one file were to be in different segments"
    assert {os.fsencode(each["path"]) for each in result["left_out"]} == {
        os.fsencode(tree.source) + path for path in left_out
    }
    for path in left_out:
        del before[path]
    done, target = tree.restore(f"latest:{tree.source}")
    assert (done["failed"], done["warnings"], done["files"]) == ([], [], result["files"])
    after = picture(target)
    assert differences(before, after) == []
    # The other way: what was restored, backed up again, is the same once more.
    shutil.rmtree(tree.source)
    target.rename(tree.source)
    again = tree.back_up()
    assert (again["errors"], again["chunks_new"]) == (0, 0)
    done, second = tree.restore(f"latest:{tree.source}")
    assert done["failed"] == []
    assert differences(before, picture(second)) == []


def test_only_what_changed_is_read_and_what_was_only_touched_keeps_its_chunks(tree: Tree) -> None:
    make_tree(tree.source, files=20)
    folders = sorted(tree.source.iterdir())
    with Watch(*folders) as watch:
        first = tree.back_up()
        assert len({seen.name for seen in watch.seen() if seen.mask == Watch.READ}) > 10, "the watch works"
        tree.back_up()
        assert watch.seen() == [], "an unchanged file is not even opened"
        touched, changed = folders[1] / "file-0001.txt", folders[2] / "file-0002.txt"
        os.utime(touched, ns=(1, 1_500_000_000_000_000_001))
        third = tree.back_up()
        assert {seen.name for seen in watch.seen()} == {b"file-0001.txt"}
        assert (third["chunks_new"], third["bytes_stored"]) == (0, 0)
        assert third["bytes_read"] == touched.stat().st_size
        changed.write_bytes(random.Random(5).randbytes(5000))
        fourth = tree.back_up()
        assert {seen.name for seen in watch.seen()} == {b"file-0002.txt"}
        assert fourth["bytes_read"] == 5000
        assert 0 < fourth["bytes_stored"] < first["bytes_stored"]
    before = picture(tree.source)
    _, target = tree.restore(f"latest:{tree.source}")
    assert differences(before, picture(target)) == []


def test_a_huge_file_is_stored_in_parts_and_comes_back_whole(tree: Tree) -> None:
    block = random.Random(3).randbytes(1 << 20)
    with (tree.source / "dense").open("wb") as file:
        for number in range(130):
            file.write(block[number:] + block[:number])
    size = 5 * SEGMENT + 20_000
    with (tree.source / "islands").open("wb") as file:
        for offset, length in parts(b"", size, None, PartSizes()):
            for edge in (offset, offset + length - 5):  # holes around each boundary, and data across it
                file.seek(edge)
                file.write(block[:10_000])
        file.truncate(size)
    (tree.source / "small").write_bytes(b"beside it")
    before = picture(tree.source)
    result = tree.back_up()
    assert result["segments"] >= 5
    assert result["files"] == 3
    assert tree.back_up()["bytes_read"] == 0
    done, target = tree.restore(f"latest:{tree.source}")
    assert (done["failed"], done["files"]) == ([], 3)
    assert differences(before, picture(target)) == []
    done, target = tree.restore(f"latest:{tree.source}/islands")
    assert (target / "islands").read_bytes() == (tree.source / "islands").read_bytes()


def test_bytes_inserted_into_a_huge_file_leave_most_of_it_stored(tree: Tree) -> None:
    content = random.Random(11).randbytes(140 << 20)
    (tree.source / "disk").write_bytes(content)
    assert tree.back_up()["segments"] >= 4
    (tree.source / "disk").write_bytes(b"inserted" * 100 + content)
    again = tree.back_up()
    assert again["bytes_read"] > len(content)
    assert 0 < again["bytes_stored"] < len(content) / 8


class Meddler(threading.Thread):
    """Does something to a tree at the moment at which a file in it is opened."""

    def __init__(self, opened: Path, act: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._watch, self._name, self._act = Watch(opened.parent), os.fsencode(opened.name), act
        self.acted = False
        self._end, self._ended = os.pipe()

    def run(self) -> None:
        while not self.acted:
            ready, _, _ = select.select([self._watch.fileno(), self._end], [], [])
            if self._end in ready:
                return
            if any(seen.name == self._name for seen in self._watch.seen()):
                self._act()
                self.acted = True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._ended)
        self.join()
        os.close(self._end)


def meddled(tree: Tree, make: Callable[[], None], opened: Path, act: Callable[[], None]) -> Any:
    """Back up while somebody meddles; again if the worker was faster than the meddler."""
    for _ in range(5):
        make()
        with Meddler(opened, act) as meddler:
            result = tree.back_up(code=None)  # type: ignore[arg-type]
        assert meddler.acted
        if result["errors"]:
            return result
    pytest.fail("the worker was always faster")


@pytest.mark.parametrize("change", ["grows", "shrinks"])
def test_a_huge_file_that_changes_meanwhile_is_named_and_comes_back_as_it_was_read(
    tree: Tree, change: str
) -> None:
    content = random.Random(12).randbytes(140 << 20)
    disk = tree.source / "disk"

    def act() -> None:
        if change == "grows":
            with disk.open("ab") as file:
                file.write(b"more" * 1000)
        else:
            os.truncate(disk, len(content) - 1000)

    result = meddled(tree, lambda: void(disk.write_bytes(content)), disk, act)
    assert {failed["path"] for failed in result["failed"]} == {str(disk)}
    done, target = tree.restore(f"{result['snapshot']}:{tree.source}", code=3)
    assert [failed["path"] for failed in done["failed"]] == [str(disk)]
    back = (target / "disk").read_bytes()
    assert len(back) == len(content)
    assert back[:-1000] == content[:-1000]


def void(_: object) -> None:
    """Takes what nobody needs."""


def test_a_file_that_vanishes_is_named_and_the_rest_is_intact(tree: Tree) -> None:
    noise = random.Random(9).randbytes(48 << 20)
    first, gone = tree.source / "first", tree.source / "gone"

    def make() -> None:
        first.write_bytes(noise)
        gone.write_bytes(b"here for a moment")
        (tree.source / "rest").write_bytes(b"stays")

    result = meddled(tree, make, first, gone.unlink)
    assert [failed["path"] for failed in result["failed"]] == [str(gone)]
    assert "vanished" in result["failed"][0]["error"]
    _, target = tree.restore(f"{result['snapshot']}:{tree.source}")
    assert read_tree(target) == {"first": noise, "rest": b"stays"}


def test_a_file_that_changes_is_named_and_the_rest_is_intact(tree: Tree) -> None:
    noise = random.Random(9).randbytes(48 << 20)
    changing = tree.source / "changing"

    def make() -> None:
        changing.write_bytes(noise)
        (tree.source / "rest").write_bytes(b"stays")

    def act() -> None:
        with changing.open("r+b") as file:
            file.write(b"!")

    result = meddled(tree, make, changing, act)
    assert [failed["path"] for failed in result["failed"]] == [str(changing)]
    assert "modified while it was read" in result["failed"][0]["error"]
    # Who restores it is told, too: it comes as it was read.
    done, target = tree.restore(f"{result['snapshot']}:{tree.source}", code=3)
    assert [(failed["path"], "not whole" in failed["error"]) for failed in done["failed"]] == [
        (str(changing), True)
    ]
    assert read_tree(target)["rest"] == b"stays"
    # The next backup has it as it is then.
    tree.back_up()
    _, target = tree.restore(f"latest:{tree.source}")
    assert read_tree(target) == read_tree(tree.source)


def without_override() -> None:
    """Root that may not read what modes forbid: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH are given up."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):
        libc.prctl(24, capability, 0, 0, 0)


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Strongroom]:
    """A home with a vault `v`, and a stack that cannot read everything."""
    with furnished(Strongroom(tmp_path / "home", before=without_override), tmp_path / "repo") as room:
        room.run("up")
        yield room


def test_a_home_in_the_tree_is_backed_up_without_its_secrets(kept: Strongroom, tmp_path: Path) -> None:
    tree = kept.home.parent / "tree"
    tree.mkdir()
    (tree / "file").write_text("mine")
    (tree / "home").symlink_to(kept.home)
    # The stack that does it is at work in this home: of its cache, logs and ledger some may change or vanish meanwhile.
    done = kept.json("backup", "v", tree, kept.home, code=None)
    live = (f"{kept.home}/cache/", f"{kept.home}/logs/", f"{kept.home}/ledger", f"{kept.home}/key-broker")
    assert [each for each in done["failed"] if not each["path"].startswith(live)] == []
    told = {each["path"] for each in done["left_out"]}
    assert {str(kept.home / name) for name in ("identities", "kms", "run")} <= told
    kept.json("restore", "v", "latest", "--target", tmp_path / "out", code=None)
    restored = tmp_path / "out" / kept.home.relative_to("/")
    assert (restored / "config.toml").read_bytes() == (kept.home / "config.toml").read_bytes()
    assert (restored / "registry.json").read_bytes() == (kept.home / "registry.json").read_bytes()
    assert not [name for name in ("identities", "kms", "run") if (restored / name).exists()]


def test_what_cannot_be_read_is_named_and_exit_code_3_tells(bound: Strongroom, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    content = make_tree(source, files=10)
    locked, closed = source / "dir1" / "file-0001.txt", source / "dir2"
    locked.chmod(0)
    closed.chmod(0)
    result = bound.json("backup", "v", source, code=3)
    assert {failed["path"] for failed in result["failed"]} == {str(locked), str(closed)}
    assert result["errors"] == 2
    told = bound.run("backup", "v", source, code=3).stderr
    assert str(locked) in told
    assert str(closed) in told
    done = bound.json("restore", "v", f"latest:{source}", "--target", target, code=3)
    assert [failed["path"] for failed in done["failed"]] == [str(closed)], (
        "the folder is there, without its content"
    )
    left = {name: data for name, data in content.items() if name[:5] != "dir2/" and source / name != locked}
    assert read_tree(target) == left
    assert done["files"] == len(left)
    closed.chmod(0o755)
    locked.chmod(0o644)
    assert bound.json("backup", "v", source)["errors"] == 0
    bound.run("restore", "v", f"latest:{source}", "--target", tmp_path / "target2")
    assert read_tree(tmp_path / "target2") == content
