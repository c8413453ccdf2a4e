"""What is guarded is not read, by whatever way a backup comes to it."""

import os
import subprocess
from pathlib import Path

import pytest

from sources.filesystem.files import FileReader, FileSource
from sources.filesystem.guard import FORBIDDEN, PROCESSES, Guard
from sources.patterns import Patterns
from sources.source import Note, Skipped, Wanted
from tests.sources.filesystem.conftest import MemorySink


class Place:
    """A home with secrets, and a tree beside it."""

    def __init__(self, root: Path) -> None:
        self.home, self.tree = root / "home", root / "tree"
        self.secrets = self.home / "identities"
        for folder in (self.secrets / "deeper", self.tree):
            folder.mkdir(parents=True)
        for path in (self.secrets / "backup", self.secrets / "deeper" / "old", self.home / "password"):
            path.write_bytes(b"secret")
        (self.home / "registry.json").write_bytes(b"{}")
        self.guard = Guard([self.secrets, self.home / "password", self.home / "not-there"])

    def walk(self, *roots: Path) -> tuple[set[str], list[Note]]:
        """What is found, and what is told as left out."""
        told: list[Note] = []
        source = FileSource([os.fsencode(root) for root in roots], self.guard)
        found = source.walk(Patterns(), _never, lambda path, why: told.append((path, why)))
        return {os.fsdecode(each.path) for each in found}, told


def _never(path: bytes, why: str) -> None:
    pytest.fail(f"{path!r}: {why}")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_rest_of_a_home_is_read_and_the_secrets_are_named(place: Place) -> None:
    found, told = place.walk(place.home)
    assert found == {str(place.home), str(place.home / "registry.json")}
    assert told == [
        (os.fsencode(place.secrets), FORBIDDEN),
        (os.fsencode(place.home / "password"), FORBIDDEN),
    ]


@pytest.mark.parametrize(
    "root", ["identities", "identities/backup", "identities/deeper", "identities/deeper/old", "password"]
)
def test_asked_for_by_name(place: Place, root: str) -> None:
    assert place.walk(place.home / root) == (set(), [(os.fsencode(place.home / root), FORBIDDEN)])


@pytest.mark.parametrize("root", ["identities/deeper/new", "identities/new"])
def test_what_came_into_a_guarded_folder_after_the_guard(place: Place, root: str) -> None:
    (place.home / root).write_bytes(b"secret")
    assert place.walk(place.home / root) == (set(), [(os.fsencode(place.home / root), FORBIDDEN)])


def test_through_a_symbolic_link(place: Place) -> None:
    (place.tree / "link").symlink_to(place.home)
    root = place.tree / "link" / "identities"
    (place.secrets / "new").write_bytes(b"secret")
    assert place.walk(root) == (set(), [(os.fsencode(root), FORBIDDEN)])
    assert place.walk(root / "new") == (set(), [(os.fsencode(root / "new"), FORBIDDEN)])


def test_under_a_second_name(place: Place) -> None:
    os.link(place.secrets / "backup", place.tree / "harmless")
    assert place.walk(place.tree) == (
        {str(place.tree)},
        [(os.fsencode(place.tree / "harmless"), FORBIDDEN)],
    )


def test_through_a_secret_that_is_a_link(place: Place) -> None:
    """As systemd-tmpfiles makes a home's config.toml."""
    (place.tree / "real").write_bytes(b"secret")
    (place.home / "linked").symlink_to(place.tree / "real")
    place.guard = Guard([place.home / "linked"])
    assert place.walk(place.tree) == ({str(place.tree)}, [(os.fsencode(place.tree / "real"), FORBIDDEN)])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_through_another_mount(place: Place) -> None:
    where = place.tree / "mounted"
    where.mkdir()
    made = subprocess.run(["mount", "--bind", place.home, where], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        found, told = place.walk(place.tree)
    finally:
        subprocess.run(["umount", where], check=True)
    assert found == {str(place.tree), str(where), str(where / "registry.json")}
    assert {path for path, _ in told} == {os.fsencode(where / "identities"), os.fsencode(where / "password")}


def test_what_is_put_in_the_place_of_a_file_after_the_walk(place: Place) -> None:
    """Whoever may write to the tree must not lead the reader out of it."""
    folder = place.tree / "folder"
    folder.mkdir()
    (folder / "backup").write_bytes(b"harmless")
    source = FileSource([os.fsencode(place.tree)], place.guard)
    (file,) = (each for each in source.walk(Patterns(), _never, _never) if each.kind == "f")
    (folder / "backup").unlink()
    folder.rmdir()
    folder.symlink_to(place.secrets)
    sink = MemorySink()
    with pytest.raises(Skipped, match="secret"):
        source.reader().read(Wanted(file.path, file.size, file.stamp), sink)
    assert bytes(sink.content) == b""
    FileReader().read(Wanted(file.path, file.size, file.stamp), sink)
    assert bytes(sink.content) == b"secret"  # a reader without a guard would have been led


@pytest.mark.parametrize("root", ["/proc", "/proc/self/environ", "/proc/1"])
def test_what_processes_have_in_memory(place: Place, root: str) -> None:
    assert place.walk(Path(root)) == (set(), [(root.encode(), PROCESSES)])
    sink = MemorySink()
    with pytest.raises(Skipped):
        FileReader(place.guard).read(Wanted(b"/proc/self/environ", 0, b""), sink)


def test_a_guard_that_cannot_read_the_mounts_guards_the_rest(place: Place, tmp_path: Path) -> None:
    place.guard = Guard([place.secrets], tmp_path / "no-such-file")
    assert os.fsencode(place.secrets) in dict(place.walk(place.home)[1])


def test_a_place_too_long_for_one_call(place: Place, tmp_path: Path) -> None:
    far = b"/".join([os.fsencode(tmp_path), *([b"d" * 250] * 40)])
    assert place.guard.forbids_below(far) == ""
    assert place.guard.forbids_below(os.fsencode(place.secrets) + b"/" + b"/".join([b"d" * 250] * 40))
