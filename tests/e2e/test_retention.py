"""Retention by config.toml: with the real beat, old snapshots go and their room is freed, and nobody asked for it."""

import random
import sqlite3
from pathlib import Path

from config.home import Home
from config.settings import load
from scheduler.slots import rule
from tests.whole.room import Strongroom, read_tree, wait_for

CONFIG = """
[[retention]]
name = "yearly"
vault = "v"
cron = "0 0 1 1 *"
timezone = "Europe/Berlin"
keep_last = 1
keep_tags = ["for ever"]
prune = true
max_unused = 0
"""


def test_old_snapshots_are_forgotten_and_pruned_by_schedule(room: Strongroom, tmp_path: Path) -> None:
    with (room.home / "config.toml").open("a") as config:
        config.write(CONFIG)
    room.run("up")
    source, generator = tmp_path / "source", random.Random(1)
    source.mkdir()
    states = {}
    for number in range(3):
        (source / "big").write_bytes(generator.randbytes(2_000_000))
        tag = "for ever" if number == 0 else "nightly"
        states[room.json("backup", "v", source, "--tag", tag)["snapshot"]] = read_tree(source)
    first, _, last = states
    # The slot of last New Year's Day was missed, as far as the ledger knows.
    (policy,) = load(Home(room.home)).retention
    mark = (policy.name, rule(policy), 1)
    with sqlite3.connect(room.home / "ledger.db") as ledger:
        ledger.execute("REPLACE INTO schedules VALUES (?, ?, ?)", mark)
    ledger.close()

    def runs() -> dict[str, str]:
        return {each["kind"]: each["state"] for each in room.json("jobs") if each["schedule"] == "yearly"}

    wait_for(lambda: runs() == {"forget": "done", "prune": "done"}, 60)
    assert [line["id"] for line in room.json("snapshots", "v")] == [first, last]
    packs = [path for path in (tmp_path / "repo" / "packs").rglob("*") if path.is_file()]
    assert 4_000_000 < sum(path.stat().st_size for path in packs) < 5_000_000
    room.run("restore", "v", f"latest:{source}", "--target", tmp_path / "out")
    assert read_tree(tmp_path / "out") == states[last]
    found = room.json("check", "v", "--read-data")
    assert (found["problems"], found["unused_packs"]) == ([], 0)
    listed = room.run("schedule", "list").stdout
    assert "forget, prune" in listed
    assert "done, prune done" in listed
