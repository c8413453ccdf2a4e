"""The transport's own promises, at a real server."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.events import EventReceiver

from config import queues
from config.settings import Settings
from tests.workers.broker_server import Server, broker_server
from tests.workers.stack_control import until
from workers.app import make_app
from workers.task import send

ROLE, QUEUE = queues.SCHEDULER, queues.SCHEDULER_QUEUE


@pytest.fixture
def server() -> Iterator[Server]:
    with broker_server(ROLE, queues.MONITOR) as running:
        yield running


@pytest.mark.parametrize(
    "answer", [lambda message: message.ack(), lambda message: message.reject(requeue=True)]
)
def test_a_message_that_cannot_be_acknowledged_does_not_stop_the_role(
    server: Server, answer: Callable[[Any], None]
) -> None:
    app = make_app(ROLE, Settings(), server.url(ROLE))
    send(app, queues.TICK)
    with app.connection() as connection:
        received: list[Any] = []
        channel = connection.channel()
        channel.basic_qos(0, 1, False)
        channel.basic_consume(QUEUE, False, received.append, "consumer")
        until(lambda: _drain(connection) or bool(received))
        assert not channel.qos.can_consume()
        server.kill()
        with pytest.raises(connection.connection_errors):
            answer(received[0])
        assert channel.qos.can_consume()
        server.start()
    app.close()


def test_what_was_received_long_ago_and_not_acknowledged_comes_back_once(server: Server) -> None:
    app = make_app(ROLE, Settings(), server.url(ROLE))
    with app.connection() as connection:
        received: list[Any] = []
        channel = connection.channel()
        channel.basic_consume(QUEUE, False, received.append, "consumer")
        for _ in range(3):
            send(app, queues.TICK)
        until(lambda: _drain(connection) and len(received) == 3)
        first, second, third = received
        third.ack()
        sweep = channel.qos.restore_visible
        sweep()  # nothing is due yet
        assert channel._size(QUEUE) == 0
        channel.qos.visibility_timeout = -1.0
        sweep(num=1)
        assert channel._size(QUEUE) == 1
        sweep(num=None)
        sweep()
        assert channel._size(QUEUE) == 2
        # Who comes late with its acknowledgement does no harm.
        first.ack()
        received.clear()
        until(lambda: _drain(connection) and len(received) == 2)
        assert {each.headers["id"] for each in received} == {each.headers["id"] for each in (first, second)}
        for each in received:
            each.ack()
        channel.qos._delivered.clear()
    app.close()


def test_a_sweep_that_takes_what_is_not_due_puts_it_back(server: Server) -> None:
    """Another sweep was faster: what this one has counted is gone, and the oldest is a young one."""
    app = make_app(ROLE, Settings(), server.url(ROLE))
    send(app, queues.TICK)
    with app.connection() as connection:
        received: list[Any] = []
        channel = connection.channel()
        channel.basic_consume(QUEUE, False, received.append, "consumer")
        until(lambda: _drain(connection) and bool(received))
        qos = channel.qos
        client = channel.client
        client.zcount = lambda *_: 5
        with channel.conn_or_acquire(client) as shared:
            assert shared is client
            channel.conn_or_acquire = lambda *_: contextlib.nullcontext(client)
            qos.restore_visible()
        del channel.conn_or_acquire
        assert channel._size(QUEUE) == 0
        assert client.zpopmin(qos.unacked_index_key)[0][0].decode() == received[0].delivery_tag
        received[0].ack()
    app.close()


def test_the_monitor_hears_events_and_needs_no_right_to_write(server: Server) -> None:
    speaker = make_app(ROLE, Settings(), server.url(ROLE))
    listener = make_app(queues.MONITOR, Settings(), server.url(queues.MONITOR))
    heard: list[Any] = []
    with listener.connection() as connection:
        receiver = EventReceiver(connection, handlers={"*": heard.append}, app=listener)
        events = receiver.consume(limit=None, timeout=1, wakeup=True)
        next(events, None)  # listens from here on
        with speaker.events.default_dispatcher() as dispatcher:
            dispatcher.send("worker-online")
        until(lambda: next(events, None) is not None or bool(heard))
    assert [event["type"] for event in heard] == ["worker-online"]
    listener.close()
    speaker.close()


def _drain(connection: Any) -> bool:
    try:
        connection.drain_events(timeout=0.1)
    except TimeoutError:
        return False
    return True
