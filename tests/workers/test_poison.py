"""Guarantee 3, at the queues: nothing that can be put into one ends the role that reads it.

The messages are those of notes 2.5 and their relatives, in all three kinds of pool.
"""

import base64
import json
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.signals import before_task_publish

from config import queues
from config.settings import Settings
from config.stack_file import StackInfo
from tests.workers.stack_control import children_of, connect, is_alive, one_shot, until
from workers.app import make_app
from workers.task import send

Stack = tuple[Path, StackInfo, subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("home")
    with one_shot(home) as (info, process, _):
        yield home, info, process


def body(*parts: object) -> str:
    return base64.b64encode(json.dumps(parts).encode()).decode()


EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
CALLBACK: dict[str, object] = {
    "task": "x.mark",
    "args": ["pwned"],
    "kwargs": {},
    "options": {},
    "subtask_type": None,
}


def message(queue: str, task: str = "", content: str | None = None, **headers: object) -> dict[str, Any]:
    return {
        "body": body(["harmless"], {}, EMBED) if content is None else content,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": task or f"{queue}.mark", "id": str(uuid.uuid4()), "lang": "py", **headers},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
            "delivery_mode": 2,
            "priority": 0,
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }


def without(frame: dict[str, Any], *path: str) -> dict[str, Any]:
    target = frame
    for name in path[:-1]:
        target = target[name]
    del target[path[-1]]
    return frame


def poisons(queue: str) -> list[str | bytes]:
    foreign = message(queue)
    foreign["properties"]["delivery_info"]["routing_key"] = "elsewhere"
    pickled = message(queue) | {
        "content-type": "application/x-python-serialize",
        "content-encoding": "binary",
    }
    encoding = message(queue)
    encoding["properties"]["body_encoding"] = "nonsense"
    frames = [
        [1, 2, 3],
        7,
        None,
        {},
        encoding,
        pickled,
        foreign,
        message(queue, content="!!!"),
        message(queue, content=""),
        message(queue, content=body(1, 2)),
        message(queue, content=body({}, [], "x")),
        message(queue, content=body(["a"], {}, {**EMBED, "callbacks": [CALLBACK]})),
        message(queue, content=body(["a"], {}, {**EMBED, "errbacks": [CALLBACK]})),
        message(queue, content=body(["a"], {}, {**EMBED, "chain": [CALLBACK]})),
        message(queue, content=body(["a"], {}, {**EMBED, "chord": CALLBACK})),
        message(queue, content=body(["too", "many", "arguments", "for", "it"], {}, EMBED)),
        message(queue, content=body(["a"], {"name": "b"}, EMBED)),
        message(queue, task="celery.backend_cleanup"),
        message(queue, task="no.such.task"),
        message(queue, eta="tomorrow"),
        message(queue, eta="2199-01-01T00:00:00+00:00"),
        message(queue, expires="never"),
        message(queue, expires={"a": 1}),
        message(queue, retries="many"),
        message(queue, timelimit=[0.001, 0.001]),
        message(queue, group="g", chord={"a": 1}),
        message(queue, stamped_headers=["x"], stamps=7),
        message(queue, ignore_result=False, reply_to="x"),
        message(queue, compression="application/x-gzip"),
        without(message(queue), "properties"),
        without(message(queue), "properties", "delivery_tag"),
        without(message(queue), "properties", "delivery_info"),
        without(message(queue), "headers"),
        without(message(queue), "headers", "task"),
        without(message(queue), "headers", "id"),
        without(message(queue), "body"),
    ]
    raw: list[str | bytes] = ["nonsense", "", b"\xff\xfe\x00", "[" * 50_000, '{"a":']
    return raw + [json.dumps(frame) for frame in frames]


@pytest.mark.parametrize("role", [queues.SCHEDULER, queues.KEY_BROKER, queues.BACKUP])
def test_every_poison_is_survived_without_a_restart(stack: Stack, role: str) -> None:
    home, _, process = stack
    queue = queues.QUEUE_OF_ROLE[role]
    url = (home / "marks" / f"{role}-url").read_text()
    broker = connect(url)
    app = make_app(role, Settings(), url)
    before = children_of(process.pid)[role]
    for number, poison in enumerate(poisons(queue)):
        broker.lpush(queue, poison)
        good = f"good-{role}-{number}"
        send(app, f"{queue}.mark", good)
        until((home / "marks" / good).exists, 5)
    assert children_of(process.pid)[role] == before
    assert is_alive(before)
    assert broker.llen(queue) == 0
    assert not (home / "marks" / "pwned").exists()
    # Nothing stays behind as received and never acknowledged: it would eat the prefetch slot.
    until(lambda: broker.hget(f"unacked.{role}", "any") is None)
    assert "Unrecoverable" not in (home / "logs" / f"{role}.log").read_text()
    app.close()


def test_the_error_of_a_task_does_not_get_out(stack: Stack) -> None:
    home, _, _ = stack
    for role in (queues.SCHEDULER, queues.KEY_BROKER, queues.BACKUP):
        queue = queues.QUEUE_OF_ROLE[role]
        app = make_app(role, Settings(), (home / "marks" / f"{role}-url").read_text())
        log = home / "logs" / f"{role}.log"
        send(app, f"{queue}.leak", "/home/alice/secret.txt")
        until(lambda: "FakeLeakError at leak" in log.read_text())  # noqa: B023 - awaited in the same turn
        send(app, f"{queue}.mark", f"after-leak-{role}")
        until((home / "marks" / f"after-leak-{role}").exists)
        assert "alice" not in log.read_text()
        app.close()


def test_a_task_that_kills_its_process_does_so_twice_and_no_more(stack: Stack) -> None:
    home, _, process = stack
    app = make_app(queues.BACKUP, Settings(), (home / "marks" / "backup-url").read_text())
    before = children_of(process.pid)[queues.BACKUP]
    send(app, "backup.die", "killer")
    until(lambda: len(list((home / "marks").glob("killer-*"))) == 2)
    send(app, "backup.mark", "after-killer")
    until((home / "marks" / "after-killer").exists)
    time.sleep(0.5)
    assert len(list((home / "marks").glob("killer-*"))) == 2
    assert children_of(process.pid)[queues.BACKUP] == before
    app.close()


def test_a_message_says_nothing_about_its_sender_or_arguments(stack: Stack) -> None:
    home, _, _ = stack
    seen: list[str] = []

    def watch(headers: dict[str, Any], **_: object) -> None:
        seen.append(json.dumps(headers))

    before_task_publish.connect(watch)
    app = make_app(queues.SCHEDULER, Settings(), (home / "marks" / "scheduler-url").read_text())
    app.send_task("scheduler.mark", args=["quiet"], queue="scheduler")
    send(app, "scheduler.mark", "quiet")
    before_task_publish.disconnect(watch)
    control, ours = seen
    assert "quiet" in control
    assert socket.gethostname() in control
    assert "quiet" not in ours
    assert socket.gethostname() not in ours
    app.close()


def test_the_metronome_ticks_and_no_role_was_refused_anything(stack: Stack) -> None:
    home, _, _ = stack
    until(lambda: len(list((home / "marks").glob("tick-*"))) >= 2, 12)
    for log in (home / "logs").iterdir():
        assert "NOPERM" not in log.read_text(errors="replace").upper(), log
        assert "NoPermission" not in log.read_text(errors="replace"), log
