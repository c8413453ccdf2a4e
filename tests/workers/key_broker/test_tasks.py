"""The key-broker as it runs: a real Valkey with the real ACL users, a real Celery worker in its own process."""

import json
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.home import Home
from config.queues import KEYS_QUEUE, UNWRAP, queue_of_task, status_key
from config.settings import Settings
from crypto import canonical
from crypto.keyrecord import DEK
from crypto.keyrequest import KeyRequest, Want, open_reply, request_digest
from crypto.registry import BACKUP, KEY_BROKER
from crypto.signing import Signed
from crypto.ticket import GENERATE
from tests.workers.key_broker.valkey import Valkey
from tests.workers.key_broker.world import World
from workers.app import make_app
from workers.key_broker.outbox import STATUS_LIFE_S, Outbox
from workers.key_broker.tasks import handle, register, run
from workers.lists import Lists
from workers.role import RoleContext
from workers.task import send


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
