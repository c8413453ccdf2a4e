"""Stamps: equal as long as nothing changed, and never equal to that of content that could still change unseen."""

import os
import stat
import time
from pathlib import Path

import pytest

from sources.filesystem.stamps import (
    KINDS,
    STAMP_LENGTH,
    TICK_NS,
    UNSETTLED,
    settled_stamp,
    stamp_of,
)


def result(size: int = 3, ino: int = 9, mtime_ns: int = 5, ctime_ns: int = 6) -> os.stat_result:
    """What lstat says of a file whose times a test may choose, which no file system takes for ctime."""
    plain = (0o100644, ino, 1, 1, 0, 0, size, 0, mtime_ns // 10**9, ctime_ns // 10**9)
    times = {"st_atime_ns": 0, "st_mtime_ns": mtime_ns, "st_ctime_ns": ctime_ns}
    return os.stat_result(plain, times)


@pytest.mark.parametrize("change", [{"size": 4}, {"ino": 10}, {"mtime_ns": 6}, {"ctime_ns": 7}])
def test_each_of_the_four_is_in_the_stamp(change: dict[str, int]) -> None:
    assert stamp_of(result()) == stamp_of(result())
    assert stamp_of(result(**change)) != stamp_of(result())
    assert len(stamp_of(result(**change))) == STAMP_LENGTH


@pytest.mark.parametrize("second", [-(10**12), -1, 10**10, 2**62])
def test_times_that_no_64_bits_hold_still_make_a_stamp(second: int) -> None:
    found = stamp_of(result(mtime_ns=second * 10**9))
    assert len(found) == STAMP_LENGTH
    assert found not in (UNSETTLED, stamp_of(result()))


@pytest.mark.parametrize(
    ("age_ns", "settled"), [(-(10**10), False), (0, False), (TICK_NS - 1, False), (TICK_NS, True)]
)
def test_a_change_within_the_clocks_tick_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch, age_ns: int, settled: bool
) -> None:
    now = time.time_ns()
    found = result(ctime_ns=now - age_ns)
    with monkeypatch.context() as still:
        still.setattr(time, "time_ns", lambda: now)
        assert settled_stamp(found) == (stamp_of(found) if settled else UNSETTLED)


def test_a_real_file_is_settled_a_moment_later(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    time.sleep(2 * TICK_NS / 10**9)
    found = (tmp_path / "f").lstat()
    assert settled_stamp(found) == stamp_of(found) != UNSETTLED


def test_whatever_a_backup_keeps_has_a_kind_of_its_own_and_sockets_have_none() -> None:
    assert len(set(KINDS.values())) == len(KINDS)
    assert stat.S_IFSOCK not in KINDS
