"""What a restore should have delivered and did not."""

from pathlib import Path

from client.restore.audit import name_missing
from client.restore.target import FolderTarget
from client.restore.wanted import Wanted
from tests.client.lines import deliver_lines, packed
from tests.client.scripted import World

LISTED = [{"path": path} for path in ("/a/here", "/a/gone", "/a/gone.tmp", "/a/deep/gone", "/a/caf\udce9")]


def missing(world: World, target: FolderTarget, **wanted: tuple[str, ...]) -> list[bytes]:
    asked = Wanted(world.vault, "latest", b"/a", **wanted)  # type: ignore[arg-type]
    with world.serving(lambda request: deliver_lines(world, request, [packed(LISTED)])):
        return name_missing(world.session, asked, target)


def test_what_was_asked_for_and_is_not_there_is_named(world: World, tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "out")
    (tmp_path / "out/here").touch()
    assert missing(world, target) == [b"/a/gone", b"/a/gone.tmp", b"/a/deep/gone", b"/a/caf\xe9"]


def test_what_patterns_leave_out_is_not_missed(world: World, tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "out")
    assert missing(world, target, includes=("gone*",), excludes=("*.tmp",)) == [b"/a/gone", b"/a/deep/gone"]
