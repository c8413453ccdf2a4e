"""The few words that the command has with the broker: against the real server, and against one that lies."""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from celery import Celery
from kombu.entity import Exchange, Queue

from client.broker import Mailbox, Publisher, task_message
from client.errors import BrokerUnreachable
from client.wire import MAX_ANSWER, Refused, Wire, WireError
from config import queues
from config.broker import BrokerSettings
from config.settings import Settings
from crypto.signing import Signed
from tests.client.scripted import Server
from workers.messages import check_frame, clean_headers


def wire(url: str, timeout_s: float = 5.0, longest: int = MAX_ANSWER) -> Wire:
    return Wire(url, BrokerSettings(), connect_timeout_s=2.0, timeout_s=timeout_s, longest=longest)


@contextmanager
def answering(path: Path, *answers: bytes) -> Iterator[str]:
    """A broker that gives one connection after the other one answer, whatever it was asked, and hangs up."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"redis+socket://{path}?virtual_host=0"
    finally:
        thread.join(5)
        listener.close()


@contextmanager
def dripping(path: Path, *answers: bytes) -> Iterator[str]:
    """A broker that answers in the end, a byte at a time, while there is somebody to hear it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            for answer in answers:
                connection.recv(1 << 16)
                for at in range(len(answer)):
                    connection.sendall(answer[at : at + 1])
                    time.sleep(0.01)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"{path}?virtual_host=0"
    finally:
        thread.join(30)
        listener.close()


def test_the_real_server_answers_in_every_kind(server: Server) -> None:
    with_admin = wire(f"redis+socket://admin:@{server.socket}")
    assert with_admin.call("SET", "status:x", b"\r\n\xff") == b"OK"
    assert with_admin.call("GET", "status:x") == b"\r\n\xff"
    assert with_admin.call("GET", "status:none") is None
    assert with_admin.call("LPUSH", "notes:x", "one") == 1
    assert with_admin.call("BLPOP", "notes:x", 1.0, wait_s=1.0) == [b"notes:x", b"one"]
    assert with_admin.call("BLPOP", "notes:x", 0.05, wait_s=0.05) is None
    with pytest.raises(Refused, match="ERR"):
        with_admin.call("NOSUCH")
    # A refusal is an answer: the connection goes on.
    assert with_admin.call("DEL", "status:x") == 1
    with_admin.close()


def test_a_wrong_password_and_a_forbidden_key_are_refusals(server: Server) -> None:
    place = server.url.rpartition("@")[2]
    mailbox = Mailbox(f"redis+socket://client:wrong@{place}", Settings())
    with pytest.raises(BrokerUnreachable, match="refuses this user or its password"):
        mailbox.status(queues.SCHEDULER)
    client = wire(server.url)
    with pytest.raises(Refused, match="NOPERM"):
        client.call("SET", "status:x", "y")
    client.close()


def test_it_connects_again_after_anything_went_wrong(tmp_path: Path) -> None:
    with answering(tmp_path / "s", b"+OK\r\n", b"$3\r\nab", b":7\r\n") as url:
        found = wire(url)
        assert found.call("PING") == b"OK"
        with pytest.raises(ConnectionError):
            found.call("PING")
        with pytest.raises(ConnectionResetError):
            found.call("PING")
        assert found.call("PING") == 7
        found.close()


@pytest.mark.parametrize(
    "lie",
    [
        b"hello\r\n",
        b":seven\r\n",
        b"$-2\r\n",
        b"*1\r\n-ERR inside\r\n",
        b"#t\r\n",
        b"%1\r\n+a\r\n+b\r\n",
        b"%1\r\n*1\r\n:1\r\n:1\r\n",
        b"+" + b"x" * 2000,
        b"$5000\r\n" + b"x" * 4000,
    ],
)
def test_what_is_no_answer_is_not_believed(tmp_path: Path, lie: bytes) -> None:
    with answering(tmp_path / "s", lie) as url:
        found = wire(url, longest=1000)
        with pytest.raises(WireError) as told:
            found.call("PING")
        assert not isinstance(told.value, Refused)
        found.close()


def test_an_answer_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        found = wire(f"redis+socket://{tmp_path / 's'}", timeout_s=0.05)
        with pytest.raises(TimeoutError):
            found.call("PING")
        found.close()


@pytest.mark.parametrize(
    ("user", "answers"),
    [
        ("", (b"+" + b"x" * 400 + b"\r\n",)),
        ("", (b"$400\r\n" + b"x" * 400 + b"\r\n",)),
        ("", (b"*200\r\n" + b":1\r\n" * 200,)),
        ("me:secret@", (b"+" + b"x" * 400 + b"\r\n", b"+OK\r\n")),
    ],
    ids=["line", "bulk", "list", "AUTH"],
)
def test_a_broker_that_drips_does_not_hold_a_call(
    tmp_path: Path, user: str, answers: tuple[bytes, ...]
) -> None:
    with dripping(tmp_path / "s", *answers) as place:
        found = wire(f"redis+socket://{user}{place}", timeout_s=0.3)
        with pytest.raises(TimeoutError):
            found.call("PING")
        found.close()


def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    nobody = Publisher(f"redis+socket://{tmp_path / 'none'}", Settings())
    with pytest.raises(BrokerUnreachable, match="does not answer"):
        nobody.submit(Signed(bytes(16), b"body", bytes(64)))


def shape(value: object) -> object:
    """A part of a message without what differs between any two: its texts."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return type(value).__name__ if isinstance(value, str) else value


def test_a_message_is_what_celery_would_send_and_what_workers_take(server: Server) -> None:
    queue = Queue(queues.SCHEDULER_QUEUE, Exchange("", no_declare=True), no_declare=True)
    app = Celery(broker=server.url, set_as_current=False)
    app.send_task(queues.SUBMIT, ["request"], queue=queue, ignore_result=True)
    sent = wire(f"redis+socket://admin:@{server.socket}")
    found = sent.call("RPOP", queues.SCHEDULER_QUEUE)
    sent.close()
    app.close()
    assert isinstance(found, bytes)
    theirs = json.loads(found)
    ours = json.loads(task_message(queues.SUBMIT, ["request"], queues.SCHEDULER_QUEUE))
    for message in (theirs, ours):
        check_frame(message, queues.SCHEDULER_QUEUE)
    # All that we send is of the kind that Celery sends; what it sends besides, the workers write anew.
    assert set(ours) == set(theirs)
    assert set(ours["headers"]) <= set(theirs["headers"])
    for name, value in ours["headers"].items():
        assert shape(value) == shape(theirs["headers"][name]), name
    for name, value in ours["properties"].items():
        assert shape(value) == shape(theirs["properties"][name]), name
    bodies = [json.loads(base64.b64decode(message["body"])) for message in (ours, theirs)]
    assert bodies[0] == bodies[1]
    assert clean_headers(ours["headers"], base64.b64decode(ours["body"]))["task"] == queues.SUBMIT
