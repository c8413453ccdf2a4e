"""`strongroom check` says in its last line whether all is well, reads a part if asked, shows how far it is, stops."""

import os
import pty
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.room import COMMAND, Strongroom, furnished, make_tree, read_tree, wait_for

BACKUPS = 4
"""Each with a pack of its own."""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Strongroom, Path]]:
    folder = tmp_path_factory.mktemp("checked")
    with furnished(Strongroom(folder / "home"), folder / "repo") as room:
        room.run("up")
        for number in range(BACKUPS):
            make_tree(folder / "source" / str(number), files=10, seed=number)
            room.run("backup", "v", folder / "source" / str(number))
        yield room, folder


@pytest.fixture
def vault(pristine: tuple[Strongroom, Path]) -> Iterator[tuple[Strongroom, Path]]:
    room, folder = pristine
    shutil.copytree(
        folder / "repo", folder / "kept", ignore=shutil.ignore_patterns("jobs")
    )  # they are being removed
    yield room, folder
    shutil.rmtree(folder / "repo")
    (folder / "kept").rename(folder / "repo")


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.splitlines()[-1]


def packs_in(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "repo" / "packs").rglob("*") if path.is_file())


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_the_last_line_says_that_all_is_well_and_what_was_looked_at(vault: tuple[Strongroom, Path]) -> None:
    room, folder = vault
    size = sum(path.stat().st_size for path in packs_in(folder)) / 1000
    beginning = (
        f"all is well: 4 snapshots, 4 manifests and 4 packs ({size:.1f} KB) are there and fit together; "
    )
    assert last_line(room.run("check", "v")) == beginning + "no data was read (--read-data reads it)"
    whole = last_line(room.run("check", "v", "--read-data"))
    assert re.fullmatch(
        re.escape(beginning)
        + rf"all that the index names was read, \d+ chunks in 4 of 4 packs \({size:.1f} KB\), and is as it was stored",
        whole,
    )
    told = room.json("check", "v", "--read-data")
    assert told["message"] == whole
    assert (told["verdict"], told["read"], told["errors"], told["packs_read"]) == ("good", "all", 0, 4)
    assert told["chunks_read"] == told["chunks"]


def test_a_part_is_read_if_a_part_is_asked_for(vault: tuple[Strongroom, Path]) -> None:
    room, folder = vault
    flip(packs_in(folder)[1], 200)
    parts = [room.json("check", "v", "--read-data-subset", f"{n}/2", code=None) for n in (1, 2)]
    assert sum(part["packs_read"] for part in parts) == BACKUPS
    assert sorted(part["verdict"] for part in parts) == ["damaged", "good"]
    share = room.json("check", "v", "--read-data-subset", "50%", code=None)
    assert (share["read"], share["packs_read"]) == ("part", 2)
    assert room.json("check", "v", "--read-data-subset", "1K", code=None)["packs_read"] == 1
    assert room.json("check", "v", "--read-data-subset", "100%", code=3)["packs_read"] == BACKUPS
    assert room.json("check", "v")["read"] == "structure"
    assert "not both" in room.run("check", "v", "--read-data", "--read-data-subset", "5%", code=2).stderr
    assert "which data to read" in room.run("check", "v", "--read-data-subset", "5/3", code=2).stderr


def test_damage_is_named_with_what_it_costs_and_what_to_do(vault: tuple[Strongroom, Path]) -> None:
    room, folder = vault
    (victim, *_) = packs_in(folder)
    victim.unlink()
    done = room.run("check", "v", code=3)
    name = str(victim.relative_to(folder / "repo"))
    assert f"{name}: the pack is missing" in done.stderr
    told = room.json("check", "v", code=3)
    ((loss,), (problem,)) = told["losses"], told["problems"]
    assert problem["object"] == name
    named = {touch["first"] for touch in problem["touches"]}
    assert len(named) == loss["files"] > 0 and {touch["snapshot"] for touch in problem["touches"]} == {
        loss["snapshot"]
    }
    for path in sorted(named):
        assert f"{loss['snapshot'][:12]}: {path}" in done.stderr
    assert f"{loss['files']} of 10 files cannot be restored" in done.stdout
    assert last_line(done).startswith("DAMAGED: 1 problem; 1 of 4 snapshots cannot be restored whole")
    assert last_line(done) == told["message"]
    # It is true: what is named does not come back, and the rest does.
    target = folder / "target"
    restored = room.json("restore", "v", loss["snapshot"], "--target", target, code=None)
    assert {each["path"] for each in restored["failed"]} == named
    assert len(read_tree(target)) == 10 - len(named)
    shutil.rmtree(target)


def test_damage_that_costs_nothing_yet_says_so(vault: tuple[Strongroom, Path]) -> None:
    room, folder = vault
    flip(packs_in(folder)[0], -1)
    line = last_line(room.run("check", "v", "--read-data", code=3))
    assert "no file of a snapshot is touched" in line


def test_a_snapshot_that_cannot_be_opened_is_counted(vault: tuple[Strongroom, Path]) -> None:
    room, folder = vault
    (victim, *_) = (folder / "repo" / "snapshots").iterdir()
    flip(victim, 100)
    done = room.run("check", "v", code=3)
    assert f"snapshots/{victim.name}" in done.stderr
    assert "1 of 4 snapshots cannot be opened" in last_line(done)


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_what_workers_remember_hides_no_damage_of_the_index(vault: tuple[Strongroom, Path], how: str) -> None:
    room, folder = vault
    room.run("check", "v")
    room.run("backup", "v", folder / "source" / "0")
    (victim, *_) = (folder / "repo" / "index").iterdir()
    if how == "gone":
        victim.unlink()
    else:
        flip(victim, 100)
    told = room.json("check", "v", code=3)
    assert told["losses"] and told["errors"] >= 1
    # Its advice is good: packs say themselves what they hold.
    assert "back up the same paths again" in told["message"]
    if how == "damaged":
        assert "remove the index objects" in told["message"]
        victim.unlink()
    room.run("backup", "v", folder / "source" / "1")
    assert room.json("check", "v", "--read-data")["verdict"] == "good"


def test_without_a_copy_the_next_backup_stores_again_what_is_lost(vault: tuple[Strongroom, Path]) -> None:
    """As docs/operations.md says."""
    room, folder = vault
    victim = packs_in(folder)[2]
    flip(victim, 200)
    assert room.json("check", "v", "--read-data", code=3)["losses"]
    victim.unlink()
    shutil.rmtree(folder / "repo" / "index")
    for number in range(BACKUPS):
        room.run("backup", "v", folder / "source" / str(number))
    told = room.json("check", "v", "--read-data")
    assert (told["verdict"], told["losses"]) == ("good", [])


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Strongroom]:
    """A vault with 16 packs of 4 MiB, for processes that forget keys soon."""
    with furnished(Strongroom(tmp_path / "home"), tmp_path / "repo") as room:
        (tmp_path / "source").mkdir()
        room.environment["STRONGROOM_CACHE_MAX_AGE_S"] = "2"
        room.run("up")
        for number in range(16):
            file = tmp_path / "source" / str(number)
            file.write_bytes(random.Random(number).randbytes(4 << 20))
            room.run("backup", "v", file)
        room.run("down")
        yield room


def up_at(room: Strongroom, mib_per_s: int) -> None:
    """Start the stack, whose processes read the repository no faster than that."""
    room.environment["STRONGROOM_STORE_MAX_MIB_PER_S"] = str(mib_per_s)
    room.run("up")


def leases(room: Strongroom) -> list[int]:
    """When the leases of all checks end, of those that are running."""
    with sqlite3.connect(f"file:{room.home / 'ledger.db'}?mode=ro", uri=True) as ledger:
        rows = ledger.execute("SELECT lease_until_ms FROM jobs WHERE kind = 'check' AND state = 'running'")
        return [lease for (lease,) in rows]


def test_the_lease_is_renewed_for_as_long_as_it_works(slow: Strongroom) -> None:
    up_at(slow, 4)
    seen: set[int] = set()
    with slow.start("check", "v", "--read-data") as check:
        while check.poll() is None:
            seen.update(leases(slow))
            time.sleep(0.2)
        assert check.stdout is not None and "all is well" in check.stdout.read()
    assert len(seen) >= 2


def test_a_check_that_is_called_off_stops(slow: Strongroom) -> None:
    up_at(slow, 1)
    with slow.start("check", "v", "--read-data") as check:
        wait_for(lambda: bool(leases(slow)))
        check.send_signal(signal.SIGINT)
        assert check.wait(60) == 130
    assert leases(slow) == []
    # The one process of the role is free again, long before it would have read all.
    log = slow.home / "logs" / "maintenance.log"
    wait_for(lambda: "maintenance.check []" in log.read_text())


def test_an_onlooker_sees_how_far_it_is(vault: tuple[Strongroom, Path]) -> None:
    room, _ = vault
    primary, secondary = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "check", "v", "--read-data"],
        env={**room.environment, "TERM": "xterm", "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=secondary,
    ) as check:
        os.close(secondary)
        assert check.stdout is not None and b"all is well" in check.stdout.read()
    shown = b""
    while True:
        try:
            shown += os.read(primary, 1 << 16)
        except OSError:
            break
    os.close(primary)
    assert re.search(rb"checking.*[1-9]\d*/\d+ objects", shown, re.DOTALL), shown
