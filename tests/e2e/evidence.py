"""Gathers what somebody sees who has full power over the broker, the logs, the monitor and the machine's processes.

Beside what the product shows, a word of the test's own is leaked into each channel, for a control.
"""

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from config import queues
from config.home import Home
from config.stack_file import StackInfo, running_stack
from crypto import canonical
from crypto.keyrecord import KeyRecord, encryption_context
from crypto.kms.keystore import Keystore
from crypto.kms.provider import WrappedKey
from crypto.kms.uri import Backends, open_provider
from crypto.registry import ROLES
from tests.e2e.intrusion import as_plain_user, read_memory
from tests.whole.broker import Intruder, Recorder
from tests.whole.room import Strongroom, wait_for
from tests.workers.stack_control import children_of, family_of, is_alive

CHANNELS = (
    "commands to the broker",
    "the broker's data",
    "task events",
    "logs",
    "the monitor",
    "repository",
    "delivery area",
    "databases",
    "command lines",
    "environments",
    "memory",
    "core dump",
)
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


def mark(what: str) -> str:
    return f"{what}{secrets.token_hex(8)}"


class Marks:
    """Words that occur nowhere but in what the customer wants kept to himself."""

    def __init__(self) -> None:
        self.words = {
            what: mark(what)
            for what in (
                "folder",
                "file",
                "content",
                "target",
                "xattr",
                "tag",
                "exclude",
                "include",
                "vault",
                "cmk",
                "repository",
                "restored",
                "unreadable",
                "missing",
            )
        }
        # Cannot be compressed: is stored as it is if it is not sealed.
        self.noise = secrets.token_bytes(100_000)

    def __getitem__(self, what: str) -> str:
        return self.words[what]

    def needles(self) -> dict[str, bytes]:
        return {what: word.encode() for what, word in self.words.items()} | {
            "noise": self.noise[40_000:40_032]
        }


class Evidence:
    """What was seen, by channel."""

    def __init__(self) -> None:
        self.seen: dict[str, list[bytes]] = {channel: [] for channel in CHANNELS}
        self.secrets: dict[str, bytes] = {}
        self.leaks = {channel: mark(f"leak{number}") for number, channel in enumerate(CHANNELS)}
        self.refused: set[str] = set()
        self.dumped: list[str] = []

    def add(self, channel: str, *data: bytes) -> None:
        self.seen[channel].extend(data)


def make_source(root: Path, marks: Marks) -> Path:
    source = root / marks["folder"]
    source.mkdir()
    for number in range(20):
        text = f"{marks['content']} line {number}\n" * (number + 1)
        (source / f"{marks['file']}-{number}.txt").write_text(text)
    (source / f"{marks['file']}.bin").write_bytes(marks.noise)
    (source / "link").symlink_to(f"/somewhere/{marks['target']}")
    (source / marks["exclude"]).write_text("left out")
    closed = source / marks["unreadable"]
    closed.write_text("for nobody")
    closed.chmod(0)
    with suppress(OSError):  # not every file system has them
        os.setxattr(source / "link", "user.mark", marks["xattr"].encode(), follow_symlinks=False)
    with suppress(OSError):
        os.setxattr(source / f"{marks['file']}.bin", "user.mark", marks["xattr"].encode())
    # Hardly any data, but many segments: some of them wait in the queue.
    with (source / "sparse").open("wb") as sparse:
        for part in range(12):
            sparse.seek(part << 27)
            sparse.write(b"%d" % part)
        sparse.truncate(12 << 27)
    return source


def vault_keys(home: Path, repo: Path, cmk: str) -> dict[str, bytes]:
    """The keys of the vault in the clear, as its owner gets them from the KMS."""
    provider = open_provider(f"local-kms://{cmk}", bytes(16), Backends(Keystore(Home(home).kms_dir)))
    found = {}
    for file in sorted((repo / "keys").iterdir()):
        record = canonical.decode(KeyRecord, file.read_bytes())
        context = encryption_context(record.tenant, record.vault, record.purpose, record.epoch)
        wrapped = WrappedKey(record.blob, record.key_id, record.material_id)
        found[f"key {file.name}"] = bytes(provider.decrypt(wrapped, context).view())
    assert len(found) == 2
    return found


def identity_keys(home: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for role in ROLES:
        stored = msgspec.msgpack.decode((Home(home).identities / role).read_bytes())
        found |= {f"signing key of {role}": stored[3], f"opening key of {role}": stored[4]}
    return found


class Watcher:
    """Looks at everything that passes by, as long as it is there: processes and parcels."""

    def __init__(self, room: Strongroom, evidence: Evidence) -> None:
        self._room = room
        self._lines: set[bytes] = set()
        self._environments: set[bytes] = set()
        self._parcels: dict[str, bytes] = {}
        self._evidence = evidence
        self._stopped = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()
            self._evidence.add("command lines", *self._lines)
            self._evidence.add("environments", *self._environments)
            self._evidence.add("delivery area", *self._parcels.values())

    def saw(self, line: bytes, environment: bytes, parcel: str) -> bool:
        """Whether these were seen."""
        return (
            any(line in each for each in set(self._lines))
            and any(environment in each for each in set(self._environments))
            and parcel in self._parcels
        )

    def _watch(self) -> None:
        while not self._stopped.wait(0.1):
            for pid in self._room.processes():
                process = Path("/proc", str(pid))
                with suppress(OSError):
                    line = (process / "cmdline").read_bytes()
                    # What a person types is in the command line of that command, and nowhere else.
                    if b"bin/strongroom" not in line:
                        self._lines.add(line)
                    self._environments.add((process / "environ").read_bytes())
            for parcel in (self._room.home / "delivery").rglob("*"):
                with suppress(OSError):
                    if str(parcel) not in self._parcels:
                        self._parcels[str(parcel)] = parcel.read_bytes()


def try_memory(room: Strongroom, command: int, found: Evidence) -> None:
    """Read the memory of every process, as another process of the same user."""
    info = running_stack(Home(room.home))
    assert info is not None
    roles = {pid: name for name, pid in children_of(info.pid).items()}
    family = family_of(info.pid)
    for pid in [command, *family]:
        memory = read_memory(pid)
        name = "the command" if pid == command else roles.get(pid, f"a process of {pid}")
        if memory is None:
            found.refused.add(name)
        else:
            found.add("memory", memory)
    assert len(family) > len(roles) > 6
    with leaky_process(room.home, found.leaks["memory"]) as leaking:
        memory = read_memory(leaking.pid)
    assert memory is not None, "the control is refused as well"
    found.add("memory", memory)


LEAKY = "import os, time; word = os.read(0, 1000); os.write(1, b'.'); time.sleep(60)"


@contextmanager
def leaky_process(folder: Path, word: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a word in its memory and does nothing to protect it."""
    with subprocess.Popen(
        [sys.executable, "-c", LEAKY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        preexec_fn=as_plain_user,
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write(word.encode())
        process.stdin.flush()
        assert process.stdout.read(1) == b"."
        yield process
        process.kill()


def dump_core(info: StackInfo, intruder: Intruder, base: Path, found: Evidence) -> None:
    """Make processes that hold keys crash, where core dumps are allowed, and one that protects nothing."""
    pattern = CORE_PATTERN.read_text().strip()
    name = pattern.partition("%")[0]

    def cores(folder: Path) -> set[Path]:
        # A pattern that is no plain name hands cores to a program or puts them elsewhere.
        return set() if name.startswith(("|", "/")) or not name else set(folder.glob(f"{name}*"))

    with leaky_process(base, found.leaks["core dump"]) as leaking:
        before = read_memory(leaking.pid) or b""
        os.kill(leaking.pid, signal.SIGABRT)
        leaking.wait()
        dumps = cores(base)
    # Where the kernel gives the core to a program, it gives what was in memory.
    found.add("core dump", *(dump.read_bytes() for dump in dumps) if dumps else (before,))
    root = Path("/")
    known = cores(root)
    parents = children_of(info.pid)
    pool = sorted(family_of(parents[queues.BACKUP]) - {parents[queues.BACKUP]})
    for pid in (pool[0], parents[queues.KEY_BROKER], parents[queues.RESTORE]):
        os.kill(pid, signal.SIGABRT)
        wait_for(lambda: not is_alive(pid))  # noqa: B023 - awaited in the same turn
    wait_for(intruder.all_serve, 60)
    for dump in cores(root) - known:
        found.dumped.append(dump.name)
        found.add("core dump", dump.read_bytes())
        dump.unlink()


def leak(room: Strongroom, intruder: Intruder, recorder: Recorder, watcher: Watcher, found: Evidence) -> None:
    """Say a word in each channel that must not be said there."""
    leaks = {channel: word.encode() for channel, word in found.leaks.items()}
    body = json.dumps([[canonical.to_text(leaks["commands to the broker"])], {}, {}])
    intruder.push(
        queues.BACKUP_QUEUE, json.dumps({"body": base64.b64encode(body.encode()).decode()}).encode()
    )
    # Packed as a message of ours would be, one alignment off.
    packed = base64.b64encode(b"?" + leaks["the broker's data"])
    intruder.redis.hset("unacked.restore", "tag", packed)
    wait_for(lambda: any(packed in value for _, value in set(recorder.datasets)))
    intruder.redis.hdel("unacked.restore", "tag")
    event = {
        "type": "task-received",
        "uuid": mark("task"),
        "name": "backup.leak",
        "args": found.leaks["task events"],
        "kwargs": found.leaks["the monitor"],
        "hostname": "backup@strongroom",
        "timestamp": time.time(),
        "clock": 1,
        "utcoffset": 0,
        "pid": 1,
    }
    publish_event(intruder, event)
    (room.home / "logs" / "leak.log").write_bytes(leaks["logs"].hex().encode())
    (room.home / "leak.db").write_bytes(leaks["databases"])
    parcel = room.home / "delivery" / "leak"
    parcel.write_bytes(zstandard.compress(leaks["delivery area"]))
    with subprocess.Popen(
        [sys.executable, "-c", "input()", str(room.home), found.leaks["command lines"]],
        stdin=subprocess.PIPE,
        env={"WORD": found.leaks["environments"]},
    ) as loud:
        wait_for(lambda: watcher.saw(leaks["command lines"], leaks["environments"], str(parcel)))
        loud.kill()
    parcel.unlink()


def publish_event(intruder: Intruder, event: dict[str, Any]) -> None:
    properties = {
        "delivery_tag": mark("tag"),
        "delivery_mode": 1,
        "delivery_info": {"exchange": "celeryev", "routing_key": "task.received"},
        "priority": 0,
        "body_encoding": "base64",
    }
    message = {
        "body": base64.b64encode(json.dumps(event).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"hostname": event["hostname"]},
        "properties": properties,
    }
    intruder.redis.publish("/0.celeryev/task.received", json.dumps(message))


def watch_monitor(info: StackInfo, found: Evidence) -> None:
    """Everything that Flower shows."""
    wait_for(lambda: found.leaks["the monitor"].encode() in ask_monitor(info, "api/tasks?limit=10000"), 60)
    tasks = ask_monitor(info, "api/tasks?limit=10000")
    found.add("the monitor", tasks)
    pages = ["tasks", "workers", "workers?json=1", "metrics", "api/task/types", "broker"]
    for page in [*pages, *(f"task/{uuid}" for uuid in json.loads(tasks))]:
        found.add("the monitor", ask_monitor(info, page))


def ask_monitor(info: StackInfo, page: str) -> bytes:
    login = base64.b64encode(f"{info.flower_user}:{info.flower_password}".encode()).decode()
    request = urllib.request.Request(info.flower_url + page, headers={"Authorization": f"Basic {login}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            data: bytes = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            data = error.read()
    return data
