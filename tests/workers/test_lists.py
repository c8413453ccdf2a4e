"""The lists beside the queues, at a real server."""

from collections.abc import Iterator

import pytest

from config.queues import HERE, LEFT, RESTORE, notes_list, over_key, taken_key
from tests.workers.broker_server import Server, broker_server
from workers.lists import LETTER_LIFE_MS, BrokerUnreachable, Followed, Lists

JOB = b"k" * 16


@pytest.fixture
def lists(broker: Server) -> Iterator[Lists]:
    broker.admin().delete(notes_list(JOB), taken_key(JOB), over_key(JOB))
    made = Lists(broker.url(RESTORE))
    yield made
    made.close()


def test_letters_come_in_order_and_do_not_stay_for_ever(broker: Server, lists: Lists) -> None:
    for letter in (b"one", b"two"):
        lists.push_letter(JOB, letter)
    assert broker.admin().lrange(notes_list(JOB), 0, -1) == [b"one", b"two"]
    assert 0 < broker.admin().pttl(notes_list(JOB)) <= LETTER_LIFE_MS


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, Followed(b"", False, False, [0, 0])),
        ({HERE: b"1"}, Followed(b"", True, False, [0, 0])),
        ({HERE: LEFT}, Followed(b"", False, True, [0, 0])),
        ({HERE: b"1", "3": b"7"}, Followed(b"", True, False, [7, 0])),
        ({HERE: b"1", "3": b"-7", "4": b"many"}, Followed(b"", True, False, [0, 0])),
    ],
)
def test_what_a_requester_says_is_read_whatever_it_says(
    broker: Server, lists: Lists, said: dict[str, bytes], expected: Followed
) -> None:
    if said:
        broker.admin().hset(taken_key(JOB), mapping=said)  # type: ignore[arg-type]
    assert lists.followed(JOB, [3, 4]) == expected


def test_the_end_of_a_job_is_read_as_it_was_put(broker: Server, lists: Lists) -> None:
    broker.admin().set(over_key(JOB), b"signed")
    assert lists.followed(JOB, []) == Followed(b"signed", False, False, [])


def test_an_element_is_waited_for_and_none_is_none(broker: Server, lists: Lists) -> None:
    name = "reply:restore:00"
    assert lists.wait(name, 0.05) is None
    broker.admin().rpush(name, b"answer")
    assert lists.wait(name, 5.0) == b"answer"


def test_a_broker_that_refuses_or_is_away_is_told_apart(lists: Lists) -> None:
    with pytest.raises(BrokerUnreachable, match="refuses: NoPermission") as refused:
        lists.wait("reply:backup:00", 0.05)
    assert refused.value.remedy
    with broker_server(RESTORE) as gone:
        left = Lists(gone.url(RESTORE))
    for call in (
        lambda: left.push_letter(JOB, b"x"),
        lambda: left.followed(JOB, []),
        lambda: left.wait("reply:restore:00", 1.0),
    ):
        with pytest.raises(BrokerUnreachable, match="does not answer"):
            call()
    left.close()
