"""Names on the wire: every task has a queue that somebody consumes, and no name can be taken for another."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import queues

HOST = st.from_regex(queues.HOST_PATTERN, fullmatch=True)


@pytest.mark.parametrize("task", queues.TASKS)
def test_every_task_has_a_queue_that_somebody_consumes(task: str) -> None:
    assert queues.queue_of_task(task) in queues.QUEUES


def test_no_task_is_there_twice_and_none_was_left_out_of_the_list() -> None:
    named = {
        value
        for name, value in vars(queues).items()
        if name.isupper() and isinstance(value, str) and re.fullmatch(r"[a-z]+\.[a-z_]+", value)
    }
    assert set(queues.TASKS) == named
    assert len(set(queues.TASKS)) == len(queues.TASKS)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("web1", True),
        ("a", True),
        ("db-1.example.com", True),
        ("x" * 63, True),
        ("", False),
        ("x" * 64, False),
        ("Web1", False),
        ("-a", False),
        ("a-", False),
        (".a", False),
        ("a b", False),
        ("a*", False),
        ("web1\n", False),
        ("wéb", False),
    ],
)
def test_a_host_is_a_name_in_small_letters(name: str, good: bool) -> None:
    assert queues.is_host(name) == good


@given(HOST)
def test_a_hosts_queue_takes_the_steps_of_its_role_and_sends_all_else_to_the_common_ones(host: str) -> None:
    own = queues.work_queue(queues.BACKUP, host)
    assert own == f"backup.{host}"
    for task in queues.TASKS:
        seen = queues.queue_seen_from(own, task)
        assert seen == (own if task.startswith("backup.") else queues.queue_of_task(task))
        assert queues.queue_seen_from(queues.BACKUP_QUEUE, task) == queues.queue_of_task(task)


@given(HOST)
def test_names_of_different_kinds_never_meet(host: str) -> None:
    id_ = bytes(range(16))
    station = queues.station(queues.BACKUP, host)
    names = [
        queues.reply_list(station, id_),
        queues.notes_list(id_),
        queues.taken_key(id_),
        queues.over_key(id_),
        queues.status_key(queues.SCHEDULER),
        queues.sign_key(station),
        queues.work_queue(queues.BACKUP, host),
        *queues.QUEUES,
    ]
    assert all(one != other for one, other in itertools.combinations(names, 2))
