"""The scheduler's way to a real broker: where each message lands, how long it stays, and what is said without one."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from config.queues import (
    BACKUP,
    JOB_OVER,
    KEY_BROKER,
    PLAN_BACKUP,
    PLAN_RESTORE,
    SCHEDULER,
    notes_list,
    over_key,
    status_key,
    work_queue,
)
from config.settings import Settings
from scheduler.lifecycle import TICKET_LIFETIME_MS
from scheduler.publisher import STATUS_LIFE_S, BrokerPublisher
from tests.workers.broker_server import Server, broker_server
from workers.app import make_app
from workers.lists import LETTER_LIFE_MS, BrokerUnreachable

JOB = b"j" * 16


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with broker_server(SCHEDULER) as running:
        yield running


@pytest.fixture
def publisher(server: Server) -> Iterator[BrokerPublisher]:
    server.admin().flushdb()
    settings = Settings()
    app = make_app(SCHEDULER, settings, server.url(SCHEDULER))
    made = BrokerPublisher(app, server.url(SCHEDULER), settings.broker)
    yield made
    made.close()
    app.close()


def messages(admin: redis.Redis, queue: str) -> list[tuple[str, Any, list[Any]]]:
    """Task, time of its end and arguments of what waits in a queue."""
    found = []
    for raw in admin.lrange(queue, 0, -1):
        frame = json.loads(raw)
        arguments, *_ = json.loads(base64.b64decode(frame["body"]))
        found.append((frame["headers"]["task"], frame["headers"]["expires"], arguments))
    return found


@pytest.mark.parametrize(
    ("task", "host", "queue"),
    [
        (PLAN_BACKUP, "", "backup"),
        (PLAN_BACKUP, "desk", work_queue(BACKUP, "desk")),
        (PLAN_RESTORE, "", "restore"),
    ],
)
def test_a_wake_waits_in_the_queue_of_its_role_or_host_and_ends_by_itself(
    server: Server, publisher: BrokerPublisher, task: str, host: str, queue: str
) -> None:
    publisher.wake(task, "ticket", "spec", 90.0, host)
    ((name, expires, arguments),) = messages(server.admin(), queue)
    assert (name, arguments) == (task, ["ticket", "spec"])
    assert expires


def test_the_end_of_a_job_is_told_to_the_key_broker_and_stays_for_workers_that_look(
    server: Server, publisher: BrokerPublisher
) -> None:
    publisher.end_tickets(JOB, "signed")
    ((name, expires, arguments),) = messages(server.admin(), work_queue(KEY_BROKER))
    assert (name, expires, arguments) == (JOB_OVER, None, ["signed"])
    assert server.admin().get(over_key(JOB)) == b"signed"
    left = server.admin().ttl(over_key(JOB))
    assert 0 < left <= TICKET_LIFETIME_MS // 1000


def test_a_status_and_a_letter_do_not_stay_for_ever(server: Server, publisher: BrokerPublisher) -> None:
    publisher.publish_status(b"{}")
    publisher.push_letter(JOB, b"one")
    publisher.push_letter(JOB, b"two")
    admin = server.admin()
    assert admin.get(status_key(SCHEDULER)) == b"{}"
    assert admin.lrange(notes_list(JOB), 0, -1) == [b"one", b"two"]
    assert 0 < admin.ttl(status_key(SCHEDULER)) <= STATUS_LIFE_S
    assert 0 < admin.pttl(notes_list(JOB)) <= LETTER_LIFE_MS


CALLS: dict[str, Callable[[BrokerPublisher], None]] = {
    "wake": lambda publisher: publisher.wake(PLAN_BACKUP, "ticket", "spec", 90.0, ""),
    "push_letter": lambda publisher: publisher.push_letter(JOB, b"letter"),
    "publish_status": lambda publisher: publisher.publish_status(b"{}"),
}


@pytest.mark.parametrize("call", sorted(CALLS))
def test_without_a_broker_every_call_says_so_and_works_again_with_one(
    server: Server, publisher: BrokerPublisher, call: str
) -> None:
    server.kill()
    try:
        with pytest.raises(BrokerUnreachable, match="message broker") as caught:
            CALLS[call](publisher)
        assert caught.value.remedy
    finally:
        server.start()
    CALLS[call](publisher)
