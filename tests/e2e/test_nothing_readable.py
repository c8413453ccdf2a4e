"""Guarantee 1: nothing readable outside.

One stack does all that a stack does, on data full of marks, while everything is written down that somebody with full
power over the broker, the logs, the monitor, the repository and the other processes of the machine can see. Then the
marks and the keys are looked for. Beside the product, the test leaks marks of its own into each of these channels: the
same scanner must find them.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import queues
from config.home import Home
from config.stack_file import running_stack
from tests.e2e.evidence import (
    CHANNELS,
    Evidence,
    Marks,
    Watcher,
    dump_core,
    identity_keys,
    leak,
    make_source,
    try_memory,
    vault_keys,
    watch_monitor,
)
from tests.e2e.intrusion import as_plain_user
from tests.e2e.scanner import Scanner, layers
from tests.whole.broker import Intruder, Recorder
from tests.whole.room import Strongroom, furnished, wait_for

# The first test waits for the stack to do all its work.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def marks() -> Marks:
    return Marks()


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory, marks: Marks) -> Iterator[Evidence]:
    """Does everything, and leaks beside it."""
    base = tmp_path_factory.mktemp("readable")
    found = Evidence()
    room = Strongroom(base / "home", before=as_plain_user, STRONGROOM_MONITOR_FLOWER_PORT="0")
    with furnished(room, base / "other-repo", "other"):
        room.run("up", "--flower")
        info = running_stack(Home(room.home))
        assert info is not None
        intruder = Intruder(room.home)
        recorder = Recorder(intruder)
        watcher = Watcher(room, found)
        with recorder.recording(), watcher.watching():
            work(room, base, marks, found)
            dump_core(info, intruder, base, found)
            leak(room, intruder, recorder, watcher, found)
            watch_monitor(info, found)
        found.add("commands to the broker", *recorder.commands())
        found.add("the broker's data", *(b"\0".join(each) for each in recorder.datasets))
        found.add(
            "task events", *(each for each in recorder.commands() if each.upper().startswith(b"PUBLISH"))
        )
        found.add("logs", *(log.read_bytes() for log in (room.home / "logs").iterdir()))
        repo = base / marks["repository"]
        leaked = repo / "packs" / "leak"
        leaked.write_bytes(found.leaks["repository"].encode())
        found.add("repository", *(each.read_bytes() for each in repo.rglob("*") if each.is_file()))
        found.add("repository", *(bytes(each.relative_to(repo)) for each in repo.rglob("*")))
        found.add("databases", *(each.read_bytes() for each in room.home.glob("*.db*")))
        found.secrets = vault_keys(room.home, repo, marks["cmk"]) | identity_keys(room.home)
        yield found


def work(room: Strongroom, base: Path, marks: Marks, found: Evidence) -> None:
    """All that a stack does for a vault, in order and out of order."""
    vault, repo = marks["vault"], base / marks["repository"]
    source = make_source(base, marks)
    room.run("vault", "create", vault, "--repo", f"file://{repo}", "--kms", f"local-kms://{marks['cmk']}")
    backup = room.start(
        "backup", vault, source, "--tag", marks["tag"], "--exclude", marks["exclude"], "--json"
    )
    wait_for(lambda: any((repo / "jobs").glob("*/work-*")))
    try_memory(room, backup.pid, found)
    output, errors = backup.communicate(timeout=60)
    assert backup.returncode == 3, (output, errors)
    assert [Path(each["path"]).name for each in json.loads(output)["failed"]] == [marks["unreadable"]]
    (source / f"{marks['file']}-new.txt").write_text(marks["content"] * 3)
    room.run("backup", vault, source, "--tag", marks["tag"], "--exclude", marks["exclude"], code=3)
    room.run("backup", vault, base / marks["missing"], code=1)
    room.run("snapshots", vault)
    room.run("ls", vault, f"latest:{source}")
    room.run("find", vault, f"{marks['file']}*")
    first, second = (line["id"] for line in room.json("snapshots", vault))
    room.run("diff", vault, first, second, source, "--metadata")
    archive = base / f"{marks['restored']}.tar"
    room.run("dump", vault, f"latest:{source}", "--target", archive)
    assert marks["file"].encode() in archive.read_bytes()
    room.run("check", vault, "--read-data")
    restored = base / marks["restored"]
    room.run("restore", vault, f"latest:{source}", "--target", restored, "--include", f"{marks['file']}*")
    assert (restored / f"{marks['file']}.bin").read_bytes() == marks.noise
    damage(repo)
    whole = room.json("restore", vault, "latest", "--target", base / f"{marks['restored']}-2", code=None)
    assert whole["errors"], "the damage was not noticed"


def damage(repo: Path) -> None:
    """Break every pack, so that workers have something to complain about."""
    for pack in (repo / "packs").glob("*/*"):
        pack.chmod(0o600)
        with pack.open("r+b") as file:
            file.seek(4096)
            file.write(b"damaged!")


def test_everything_was_watched(evidence: Evidence) -> None:
    commands = evidence.seen["commands to the broker"]
    for queue in queues.QUEUES:
        assert any(each.upper().startswith(b"LPUSH\0" + queue.upper().encode()) for each in commands), queue
    for beginning in (
        b"RPUSH\0reply:backup",
        b"RPUSH\0reply:restore",
        b"RPUSH\0notes:",
        b"HSET\0unacked.backup",
    ):
        assert any(each.upper().startswith(beginning.upper()) for each in commands), beginning
    keys = {each.partition(b"\0")[0] for each in evidence.seen["the broker's data"]}
    assert keys >= {b"unacked.backup", b"unacked_index.backup", b"backup", b"status:key-broker"}
    events = b"".join(layer for each in evidence.seen["task events"] for layer in layers(each))
    for kind in (b"task-received", b"task-started", b"task-succeeded", b"task-progress", b"worker-online"):
        assert kind in events, kind
    assert all(
        task.encode() in b"".join(evidence.seen["the monitor"])
        for task in (queues.BACKUP_SEGMENT, queues.UNWRAP)
    )
    titles = b"".join(evidence.seen["command lines"])
    for role in queues.QUEUE_OF_ROLE:
        assert b"strongroom: " + role.encode() in titles
        assert role in evidence.refused, "its memory could be read"
    assert "the command" in evidence.refused
    assert evidence.seen["delivery area"]


@pytest.mark.parametrize("channel", CHANNELS)
def test_nothing_is_readable(evidence: Evidence, marks: Marks, channel: str) -> None:
    needles = marks.needles() | evidence.secrets
    assert len(needles) > 20
    assert Scanner(needles).scan(evidence.seen[channel]) == set()


def test_no_process_with_keys_leaves_a_core_dump(evidence: Evidence) -> None:
    assert evidence.dumped == []


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_leaks_is_found(evidence: Evidence, channel: str) -> None:
    leaked = Scanner({channel: evidence.leaks[channel].encode()})
    assert leaked.scan(evidence.seen[channel]) == {channel}
