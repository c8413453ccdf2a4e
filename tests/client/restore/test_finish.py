import os
import stat
from pathlib import Path

from client.restore.finish import Finisher, landing
from client.restore.messages import LinkName, Part
from client.restore.staging import Staging
from sources.filesystem.metadata import decode
from tests.client.deliveries import meta


def test_folders_get_their_times_after_everything_is_in_place(tmp_path: Path):
    staging = Staging(tmp_path / "target")
    (staging.folder / "a/b").mkdir(parents=True)
    (staging.folder / "a/b/file").write_bytes(b"x")
    finisher = Finisher(b"")
    finisher.add([(b"/a", meta("d", 0o555)), (b"/a/b", meta("d", 0o700))], (), (), ())
    finisher.finish(staging)
    assert [each.name for each in (tmp_path / "target").iterdir()] == ["a"]
    for name, mode in (("a", 0o555), ("a/b", 0o700)):
        found = (tmp_path / "target" / name).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (mode, 1_600_000_000_123_456_789)


def test_the_target_gets_the_metadata_of_the_folder_that_was_asked_for(tmp_path: Path):
    staging = Staging(tmp_path / "target")
    (staging.folder / "file").write_bytes(b"x")
    finisher = Finisher(b"/home/me")
    finisher.add([(b"/home/me", meta("d", 0o711))], (), (), ())
    finisher.finish(staging)
    found = (tmp_path / "target").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o711, 1_600_000_000_123_456_789)
    assert [each.name for each in (tmp_path / "target").iterdir()] == ["file"]


def test_names_of_one_file_become_one_again(tmp_path: Path):
    staging = Staging(tmp_path)
    for name in ("one", "two", "other", "changed"):
        (staging.folder / name).write_bytes(b"x")
    finisher = Finisher(b"")
    finisher.add(
        (),
        [
            LinkName(b"/two", 1, 7, 1, b"d"),
            LinkName(b"/one", 1, 7, 1, b"d"),
            LinkName(b"/other", 2, 7, 1, b"d"),
            LinkName(b"/changed", 1, 7, 1, b"e"),
        ],
        (),
        (),
    )
    finisher.finish(staging)
    assert os.path.samefile(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "other").stat().st_nlink == 1
    assert (tmp_path / "changed").stat().st_nlink == 1, "other content was read under that name"


def part(offset: int, length: int) -> Part:
    return Part(b"/huge", 100, offset, length, meta("f", 0o600))


def test_a_file_in_parts_is_finished_when_all_are_there(tmp_path: Path):
    staging = Staging(tmp_path)
    (staging.folder / "huge").write_bytes(bytes(100))
    finisher = Finisher(b"")
    finisher.add((), (), [part(60, 40)], ())
    finisher.add((), (), [part(0, 60)], ())
    assert finisher.finish(staging) == 1
    assert finisher.failed == {}
    assert (tmp_path / "huge").stat().st_mtime_ns == decode(part(0, 1).meta).mtime_ns


def test_a_file_in_parts_of_which_one_is_missing_is_removed_and_named(tmp_path: Path):
    for there in ([part(0, 60)], [part(60, 40)], [part(0, 50), part(60, 40)]):
        staging = Staging(tmp_path)
        (staging.folder / "huge").write_bytes(bytes(100))
        finisher = Finisher(b"")
        finisher.add((), (), there, ())
        assert finisher.finish(staging) == 0
        assert list(finisher.failed) == [b"/huge"]
        assert list(tmp_path.iterdir()) == []


def test_a_file_in_parts_that_was_torn_when_it_was_read_is_there_and_named(tmp_path: Path):
    staging = Staging(tmp_path)
    (staging.folder / "huge").write_bytes(bytes(100))
    finisher = Finisher(b"")
    finisher.tear([(b"/huge", "was not whole when it was backed up: grew")])
    finisher.add((), (), [part(0, 60), part(60, 40)], ())
    assert finisher.finish(staging) == 1
    assert list(finisher.failed) == [b"/huge"]
    assert (tmp_path / "huge").stat().st_size == 100


def test_a_torn_file_of_which_a_part_is_lost_is_not_kept(tmp_path: Path):
    for order in (1, -1):
        staging = Staging(tmp_path)
        (staging.folder / "huge").write_bytes(bytes(100))
        finisher = Finisher(b"")
        words = [finisher.tear, finisher.fail]
        for say in words[::order]:
            say([(b"/huge", "why")])
        finisher.add((), (), [part(0, 60), part(60, 40)], ())
        assert finisher.finish(staging) == 0
        assert list(tmp_path.iterdir()) == []


def test_where_paths_land():
    target = Path("/t")
    assert landing(target, b"", b"/a/b") == b"/t/a/b"
    assert landing(target, b"/a", b"/a/b") == b"/t/b"
    assert landing(target, b"/a/b", b"/a/b") == b"/t/b"
