"""The command's ways to a real broker, with the rights that its user has there."""

import json
from pathlib import Path

import pytest

from client.broker import MAX_STATUS_BYTES, Mailbox, Publisher, task_message
from client.errors import BrokerUnreachable
from config import queues
from config.broker_trouble import NO_LOGIN, NO_RIGHT
from config.settings import Settings
from crypto.signing import Signed
from tests.client.scripted import Server, World, running_server

JOB = bytes(range(16))


def test_a_letter_is_taken_once_and_none_is_waited_for_in_vain(world: World) -> None:
    mailbox = world.session.mailbox
    world.push(JOB, b"first")
    world.push(JOB, b"second")
    assert [mailbox.wait(JOB, 5.0), mailbox.wait(JOB, 0), mailbox.wait(JOB, 0)] == [b"first", b"second", None]
    assert mailbox.wait(JOB, 0.05) is None


def test_what_a_role_says_of_itself_is_bounded(world: World) -> None:
    mailbox = world.session.mailbox
    assert mailbox.status(queues.SCHEDULER) == b""
    with world.server.admin() as admin:
        admin.set(queues.status_key(queues.SCHEDULER), b"x" * (MAX_STATUS_BYTES + 1))
    assert mailbox.status(queues.SCHEDULER) == b"x" * MAX_STATUS_BYTES


def test_signs_of_life_have_an_age_by_the_brokers_clock(world: World) -> None:
    with world.server.admin() as admin:
        admin.set(queues.sign_key("beat"), b"", ex=queues.SIGN_LIFE_S - 100)
        admin.set(queues.sign_key("backup"), b"")  # without an end: nobody of ours has set it
    seen = world.session.mailbox.seen(["beat", "backup", "scheduler"])
    assert seen.pop("beat") == pytest.approx(100, abs=30)
    assert seen == {"backup": None, "scheduler": None}


def test_what_waits_is_counted_also_for_hosts(world: World) -> None:
    with world.server.admin() as admin:
        admin.rpush("backup.web1", b"x", b"y")
        admin.rpush("keys", b"x")
    waiting = world.session.mailbox.waiting({"web1", "db"})
    assert waiting == {
        **dict.fromkeys(queues.QUEUES, 0),
        "keys": 1,
        "backup.db": 0,
        "backup.web1": 2,
    }


def test_what_was_taken_is_said_for_a_while_and_can_be_unsaid(world: World) -> None:
    publisher = world.session.publisher
    publisher.say_taken(JOB, {"3": 7, "4": 1}, 60_000)
    publisher.forget_taken(JOB, "4")
    name = queues.taken_key(JOB)
    with world.server.admin() as admin:
        assert admin.hgetall(name) == {b"3": b"7"}
        assert 0 < admin.pttl(name) <= 60_000


def test_a_refusal_is_told_with_what_mends_it(server: Server) -> None:
    stranger = Mailbox(server.url.replace("client:", "client:x", 1), Settings())
    with pytest.raises(BrokerUnreachable) as refused:
        stranger.wait(JOB, 0)
    assert (refused.value.message, refused.value.remedy) == NO_LOGIN
    stranger.close()


def test_what_this_user_may_not_do_is_told_with_what_mends_it() -> None:
    with running_server() as own, own.admin() as admin:
        mailbox = Mailbox(own.url, Settings())
        assert mailbox.wait(JOB, 0) is None
        admin.execute_command("ACL", "SETUSER", queues.CLIENT, "clearselectors", "resetkeys")
        with pytest.raises(BrokerUnreachable) as refused:
            mailbox.wait(JOB, 0)
        assert (refused.value.message, refused.value.remedy) == NO_RIGHT
        mailbox.close()


def test_a_broker_that_is_away_is_told_by_every_call_and_found_again(tmp_path: Path) -> None:
    with running_server() as own:
        mailbox, publisher = Mailbox(own.url, Settings()), Publisher(own.url, Settings())
        assert mailbox.wait(JOB, 0) is None
        own.stop()
        for call in (
            lambda: mailbox.wait(JOB, 0),
            lambda: mailbox.status("scheduler"),
            lambda: mailbox.seen(["beat"]),
            mailbox.waiting,
            lambda: publisher.submit(Signed(bytes(16), b"", b"")),
            lambda: publisher.say_taken(JOB, {"0": 1}, 1000),
            lambda: publisher.forget_taken(JOB, "0"),
        ):
            with pytest.raises(BrokerUnreachable) as away:
                call()
            assert "broker.url" in away.value.remedy
        own.start()
        assert mailbox.wait(JOB, 0) is None
        mailbox.close()
        publisher.close()


def test_a_message_says_nothing_of_its_argument_in_clear() -> None:
    frame = json.loads(task_message("scheduler.submit", ["c2VjcmV0"], "scheduler"))
    body = frame.pop("body")
    assert "c2VjcmV0" not in json.dumps(frame)
    assert body
    assert frame["properties"]["delivery_info"]["routing_key"] == "scheduler"
