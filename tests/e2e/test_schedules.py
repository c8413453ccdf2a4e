"""Schedules, with the real beat and the real scheduler: fired when due, caught up once when missed, listed."""

import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.whole.room import Strongroom, furnished, make_tree, read_tree, wait_for

NOW = datetime.now(UTC)
MISSED = NOW - timedelta(minutes=10)
NEXT = NOW + timedelta(hours=3)
CONFIG = """
[[schedules]]
name = "due"
vault = "v"
paths = ["{source}"]
cron = "* * * * *"
catch_up = false
tags = ["each minute"]

[[schedules]]
name = "missed"
vault = "v"
paths = ["{source}/dir0", "{source}/dir1"]
cron = "{missed.minute} {missed.hour} * * *"
excludes = ["*3.txt"]
tags = ["caught up", "daily"]

[[schedules]]
name = "not-caught-up"
vault = "v"
paths = ["{source}"]
cron = "{missed.minute} {missed.hour} * * *"
catch_up = false

[[schedules]]
name = "new"
vault = "v"
paths = ["{source}"]
cron = "{next.minute} {next.hour} * * *"
timezone = "Etc/GMT-2"
"""


@pytest.fixture(scope="module")
def scheduled(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Strongroom, Path, dict[str, bytes]]]:
    """A stack that was down while slots of its schedules passed, and is up again.

    A schedule begins when it is first seen, so the ledger is told that these were seen: the first a moment ago, the
    others two days ago, since when two of their slots were missed.
    """
    folder = tmp_path_factory.mktemp("schedules")
    content = make_tree(folder / "source")
    with furnished(Strongroom(folder / "home"), folder / "repo") as room:
        with (room.home / "config.toml").open("a") as config:
            config.write(
                CONFIG.format(source=folder / "source", missed=MISSED, next=NEXT + timedelta(hours=2))
            )
        daily = f"{MISSED.minute} {MISSED.hour} * * * UTC"
        seen_ms = int((NOW - timedelta(days=2)).timestamp() * 1000)
        with sqlite3.connect(room.home / "ledger.db") as ledger:
            minute_ago = time.time_ns() // 1_000_000 - 61_000
            marks = [
                ("due", "* * * * * UTC", minute_ago),
                ("missed", daily, seen_ms),
                ("not-caught-up", daily, seen_ms),
            ]
            ledger.executemany("INSERT INTO schedules VALUES (?, ?, ?)", marks)
        ledger.close()
        room.run("up")
        yield room, folder / "source", content


def runs(room: Strongroom, schedule: str) -> list[Any]:
    return [each for each in room.json("jobs") if each["schedule"] == schedule]


def done(room: Strongroom, schedule: str) -> bool:
    return any(each["state"] == "done" for each in runs(room, schedule))


def test_a_schedule_that_is_due_is_fired_by_beat(
    scheduled: tuple[Strongroom, Path, dict[str, bytes]], tmp_path: Path
) -> None:
    room, source, content = scheduled
    wait_for(lambda: done(room, "due"), 60)
    snapshots = [each for each in room.json("snapshots", "v") if each["tags"] == ["each minute"]]
    assert snapshots
    room.run("restore", "v", f"{snapshots[0]['id']}:{source}", "--target", tmp_path / "target")
    assert read_tree(tmp_path / "target") == content


def test_a_missed_slot_is_caught_up_once(
    scheduled: tuple[Strongroom, Path, dict[str, bytes]], tmp_path: Path
) -> None:
    room, source, content = scheduled
    wait_for(lambda: done(room, "missed"), 60)
    room.run("down")
    room.run("up")
    # At each tick every schedule is looked at.
    wait_for(lambda: (room.json("status")["roles"]["scheduler"] or {}).get("ticks", 0) >= 2, 60)
    assert len(runs(room, "missed")) == 1, (
        "two slots were missed, one run makes up for both, and it is not repeated"
    )
    assert runs(room, "not-caught-up") == []
    (snapshot,) = (each for each in room.json("snapshots", "v") if "caught up" in each["tags"])
    assert snapshot["paths"] == [f"{source}/dir0", f"{source}/dir1"]
    room.run("restore", "v", f"{snapshot['id']}:{source}", "--target", tmp_path / "target")
    wanted = {
        name: data for name, data in content.items() if name[:4] in ("dir0", "dir1") and name[-5] != "3"
    }
    assert read_tree(tmp_path / "target") == wanted


def test_schedule_list_shows_last_and_next(scheduled: tuple[Strongroom, Path, dict[str, bytes]]) -> None:
    room, _, _ = scheduled
    wait_for(lambda: done(room, "missed") and done(room, "due"), 60)
    found = {each["name"]: each for each in room.json("schedule", "list")}
    assert list(found) == ["due", "missed", "not-caught-up", "new"]
    assert moment(found["missed"]["last"]) == MISSED.replace(second=0, microsecond=0)
    assert found["missed"]["last_state"] == "done"
    assert moment(found["missed"]["next"]) == MISSED.replace(second=0, microsecond=0) + timedelta(days=1)
    assert found["new"]["last"] is None
    assert moment(found["new"]["next"]) == NEXT.replace(second=0, microsecond=0)
    assert found["due"]["last"]
    words = room.run("schedule", "list").stdout
    assert found["missed"]["last"][:19] in words
    assert "Etc/GMT-2" in words


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
