"""What the command says to the broker, against a real one: Celery's message, and a connection that recovers."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu.entity import Exchange, Queue

from client.broker import Mailbox, task_message
from client.errors import BrokerUnreachable
from client.valkey import Refused, Valkey
from config import queues
from config.broker import redis_arguments
from config.settings import Settings
from tests.client.scripted import Server
from workers.messages import check_frame, clean_headers

QUEUE = queues.SCHEDULER_QUEUE


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.start()
    yield made
    made.stop()


def valkey(server: Server) -> Valkey:
    url, tls = redis_arguments(Settings().broker, server.url)
    return Valkey(url, tls, 5.0, 5.0)


def body_of(frame: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(frame["body"]))


def test_the_message_is_the_one_that_celery_would_send(server: Server) -> None:
    app = Celery(broker=server.url, set_as_current=False)
    queue = Queue(QUEUE, Exchange("", no_declare=True), routing_key=QUEUE, no_declare=True)
    app.send_task(
        queues.SUBMIT, ["text"], queue=queue, argsrepr="sealed", kwargsrepr="{}", ignore_result=True
    )
    with server.admin() as admin:
        theirs = json.loads(admin.rpop(QUEUE))
    ours = json.loads(task_message(queues.SUBMIT, "text", QUEUE))
    assert body_of(ours) == body_of(theirs)
    changing = {"id", "root_id", "origin"}
    expected = {key: value for key, value in theirs["headers"].items() if key in ours["headers"]}
    assert {**ours["headers"], **dict.fromkeys(changing, 0)} == {**expected, **dict.fromkeys(changing, 0)}
    for key in ("content-type", "content-encoding"):
        assert ours[key] == theirs[key]
    for key in ("delivery_mode", "delivery_info", "priority", "body_encoding"):
        assert ours["properties"][key] == theirs["properties"][key]


def test_a_worker_takes_the_message() -> None:
    frame = json.loads(task_message(queues.SUBMIT, "text", QUEUE))
    check_frame(frame, QUEUE)
    assert clean_headers(frame["headers"], base64.b64decode(frame["body"]))["task"] == queues.SUBMIT


def test_answers_of_all_kinds(server: Server) -> None:
    client = valkey(server)
    name = queues.notes_list(bytes(16))
    letter = bytes(range(256)) * 4000 + b"\r\n"
    with server.admin() as admin:
        admin.rpush(name, letter, b"")
    assert client.call("BLPOP", name, 1) == [name.encode(), letter]
    assert client.call("BLPOP", name, 1) == [name.encode(), b""]
    assert client.call("BLPOP", name, 0.01) is None
    assert client.call("GET", queues.status_key("restore")) is None
    assert client.call("LLEN", QUEUE) == 0
    assert client.call("PING") == b"PONG"
    client.close()
    assert client.call("PING") == b"PONG"


def test_what_the_user_may_not_do_is_refused_and_the_next_command_works(server: Server) -> None:
    client = valkey(server)
    with pytest.raises(Refused, match="NOPERM"):
        client.call("FLUSHALL")
    assert client.call("PING") == b"PONG"


def test_a_broker_that_comes_back_is_found_again(server: Server) -> None:
    mailbox = Mailbox(server.url, Settings())
    assert mailbox.wait(bytes(16), 0.01) is None
    server.stop()
    with pytest.raises(BrokerUnreachable):
        mailbox.wait(bytes(16), 0.01)
    server.start()
    with server.admin() as admin:
        admin.rpush(queues.notes_list(bytes(16)), b"letter")
    assert mailbox.wait(bytes(16), 5.0) == b"letter"


def test_a_wrong_password_is_told_apart(server: Server) -> None:
    head, _, rest = server.url.partition("@")
    wrong = f"{head.rpartition(':')[0]}:wrong@{rest}"
    mailbox = Mailbox(wrong, Settings())
    for _ in range(2):
        with pytest.raises(BrokerUnreachable, match="refuses this client"):
            mailbox.wait(bytes(16), 0.01)
