from pathlib import Path

import pytest

from client.restore.staging import Staging
from sources.source import TargetNotEmpty


def test_nothing_is_under_its_own_name_before_it_is_promoted(tmp_path: Path):
    staging = Staging(tmp_path / "new")
    (staging.folder / "folder").mkdir()
    (staging.folder / "folder/file").write_bytes(b"x")
    assert not (tmp_path / "new/folder").exists()
    assert staging.promote() == []
    assert (tmp_path / "new/folder/file").read_bytes() == b"x"
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["folder"]


def test_a_target_that_holds_something_is_refused(tmp_path: Path):
    (tmp_path / "mine").write_bytes(b"x")
    with pytest.raises(TargetNotEmpty):
        Staging(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


def test_what_appeared_meanwhile_is_not_overwritten(tmp_path: Path):
    staging = Staging(tmp_path)
    (staging.folder / "file").write_bytes(b"restored")
    (staging.folder / "other").write_bytes(b"restored")
    (tmp_path / "file").write_bytes(b"somebody's")
    assert [path for path, _ in staging.promote()] == [b"/file"]
    assert (tmp_path / "file").read_bytes() == b"somebody's"
    assert (tmp_path / "other").read_bytes() == b"restored"
    assert (staging.folder / "file").read_bytes() == b"restored"
