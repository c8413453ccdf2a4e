"""Checking, tidying and extending locks, as a worker does them."""

import pytest

from crypto.errors import KeyRefused
from crypto.job import CheckSpec, ExtendSpec, TidySpec
from crypto.report import DONE
from repository import layout
from tests.repository.conftest import Repo
from tests.workers.maintenance.upkeep import Upkeep
from workers.maintenance import steps
from workers.maintenance.steps import TooLong


def test_a_job_that_outlasts_its_ticket_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = KeyRefused("expired", "the ticket has expired", retryable=False)
    with pytest.raises(KeyRefused), steps.in_time("in parts"):
        raise refused
    monkeypatch.setattr(steps, "LONG_S", -1.0)
    with pytest.raises(TooLong) as error, steps.in_time("in parts"):
        raise refused
    assert error.value.remedy == "in parts"
    with pytest.raises(KeyRefused), steps.in_time("in parts"):
        raise KeyRefused("stale-fence", "another attempt has begun")


def test_a_tidy_job_removes_what_named_jobs_worked_with_and_nothing_else(upkeep: Upkeep, repo: Repo) -> None:
    repo.backup({b"/a": b"data"}, 1)
    ended, running = b"e" * 16, b"r" * 16
    for job in (ended, running):
        repo.store.put(layout.plan_name(job), [b"x"])
        repo.store.put(layout.done_name(job, 1, 0), [b"x"])
    kept = [name for name in repo.stored("") if not name.startswith(layout.job_prefix(ended))]
    spec = TidySpec(repo.folder.as_uri(), upkeep.requester, (ended, b"?" * 16))
    for _ in range(2):
        assert (
            upkeep.run(lambda process, job, reporter, _: steps.tidy(process, job, reporter), spec)["kind"]
            == DONE
        )
        assert repo.stored("") == kept


def test_extending_counts_what_it_left_and_names_what_is_missing(upkeep: Upkeep, repo: Repo) -> None:
    repo.backup({b"/a": b"data"}, 1)
    spec = ExtendSpec(repo.folder.as_uri(), upkeep.requester)
    told = upkeep.run(steps.extend_locks, spec)
    assert (told["kind"], told["extended"]) == (DONE, 0)
    assert told["left"] == len(repo.stored("")) - len(repo.stored(layout.JOBS))
    (pack,) = repo.stored(layout.PACKS)
    repo.store.delete(pack)
    assert pack in str(upkeep.run(steps.extend_locks, spec))


def test_a_check_tells_what_is_wrong_as_its_outcome(upkeep: Upkeep, repo: Repo) -> None:
    repo.backup({b"/a": b"data"}, 1)
    spec = CheckSpec(repo.folder.as_uri(), upkeep.requester, True)
    assert upkeep.run(steps.check_vault, spec)["verdict"] == "good"
    (pack,) = repo.stored(layout.PACKS)
    repo.damage(pack, lambda data: data[:-1])
    told = upkeep.run(steps.check_vault, spec)
    assert (told["kind"], told["verdict"]) == (DONE, "damaged")


def test_a_spec_of_another_kind_does_nothing(upkeep: Upkeep, repo: Repo) -> None:
    before = repo.stored("")
    uri = repo.folder.as_uri()
    check, tidy = CheckSpec(uri, upkeep.requester, False), TidySpec(uri, upkeep.requester, (b"j" * 16,))
    for step, spec in (
        (steps.check_vault, tidy),
        (steps.extend_locks, check),
        (lambda process, job, reporter, _: steps.tidy(process, job, reporter), check),
    ):
        assert upkeep.run(step, spec)["code"] == "wrong-spec"
    assert repo.stored("") == before
