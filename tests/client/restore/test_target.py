"""A folder to restore into: nothing is in it until everything is written."""

from pathlib import Path

import pytest

from client.restore.finish import Finisher
from client.restore.target import FolderTarget
from crypto.parcel import OpenParcel
from sources.source import TargetNotEmpty
from tests.client.deliveries import ParcelMaker


def give(target: FolderTarget, strip: bytes, *paths: bytes) -> Finisher:
    maker = ParcelMaker()
    for path in paths:
        maker.file(path, path)
    assembler = target.assembler(strip)
    payload = memoryview(b"".join(bytes(part) for part in maker.payload))
    assert assembler.take(0, OpenParcel(maker.table(), payload))[0] == len(paths)
    finisher = Finisher(strip)
    report = assembler.end_segment(0)
    finisher.add(report.dirs, report.links, report.parts, report.notes)
    assembler.close()
    return finisher


def test_files_are_in_place_after_the_end_and_not_before(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "out")
    finisher = give(target, b"/home/me", b"/home/me/a", b"/home/me/b/c")
    assert not target.holds(b"/home/me/a", b"/home/me")
    target.finish(finisher)
    for path, there in ((b"/home/me/a", True), (b"/home/me/b/c", True), (b"/home/me/x", False)):
        assert target.holds(path, b"/home/me") == there
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]


def test_a_link_that_leads_nowhere_is_there(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "out")
    (tmp_path / "out/link").symlink_to("nowhere")
    assert target.holds(b"/link", b"")


def test_who_gives_up_leaves_nothing_of_its_own(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path)
    give(target, b"", b"/a")
    (tmp_path / "mine").touch()
    target.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(TargetNotEmpty) as refused:
        FolderTarget(tmp_path)
    assert refused.value.remedy
