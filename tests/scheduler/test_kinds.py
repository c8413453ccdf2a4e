"""What each kind of job may do: the table is a permission, so that its bounds are said here a second time."""

import pytest

from config.queues import QUEUE_OF_ROLE, TASKS, queue_of_task
from crypto import job, ticket
from crypto.registry import BACKUP, MAINTENANCE, RESTORE
from scheduler.kinds import KINDS, SUBMITTABLE, kinds_of_role

REMOVES = {ticket.FORGET: {job.FORGET}, ticket.PRUNE: {job.PRUNE}}
"""Operations that let a worker remove something, and the only kinds that have them."""


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_first_task_of_a_kind_is_one_of_its_role(name: str) -> None:
    kind = KINDS[name]
    assert kind.task in TASKS
    assert queue_of_task(kind.task) == QUEUE_OF_ROLE[kind.role]
    assert set(kind.operations) <= set(ticket.OPERATIONS)
    assert len(set(kind.operations)) == len(kind.operations)


def test_no_two_kinds_begin_with_the_same_task() -> None:
    assert len({kind.task for kind in KINDS.values()}) == len(KINDS)


@pytest.mark.parametrize("operation", sorted(REMOVES))
def test_only_who_asked_for_it_removes(operation: str) -> None:
    assert {name for name, kind in KINDS.items() if operation in kind.operations} == REMOVES[operation]


def test_no_ticket_that_begins_a_job_lets_it_commit() -> None:
    assert not [name for name, kind in KINDS.items() if ticket.COMMIT in kind.operations]


def test_restores_only_decrypt() -> None:
    for name in kinds_of_role(RESTORE):
        assert KINDS[name].operations == (ticket.DECRYPT,)


def test_who_may_do_nothing_with_keys_has_no_budget_and_all_others_have_one() -> None:
    for kind in KINDS.values():
        assert (kind.max_unwraps > 0) == bool(kind.operations)


def test_an_operator_asks_for_every_kind_but_the_schedulers_own() -> None:
    assert set(KINDS) - set(SUBMITTABLE) == {job.TIDY}
    assert set(SUBMITTABLE) <= set(KINDS)


def test_every_kind_waits_in_one_queue() -> None:
    queues = [kinds_of_role(role) for role in (BACKUP, RESTORE, MAINTENANCE)]
    assert sorted(name for names in queues for name in names) == sorted(KINDS)
    assert kinds_of_role("key-broker") == ()
