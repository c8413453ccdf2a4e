from typing import Any

import msgspec
import pytest

from config.schedules import Schedule
from crypto import job
from crypto.identity import Identity
from scheduler import submit
from tests.scheduler.world import NOW, OTHER_VAULT, World

SCHEDULES = (
    Schedule("nightly", "documents", ("/home",), "0 3 * * *", "Europe/Berlin", tags=("auto",)),
    Schedule("weekly", "pictures", ("/pictures",), "0 4 * * 0"),
)


def ask(
    world: World,
    about: str,
    operator: Identity | None = None,
    planned: tuple[Schedule, ...] = SCHEDULES,
) -> Any:
    return world.ask(about, operator, schedules=planned)


def test_the_jobs_newest_first(world: World) -> None:
    first = world.submit(job.CHECK)
    second = world.submit(job.LIST)
    world.scheduler().report(world.report(first, "failed", role="maintenance", code="store-full"), NOW + 1)
    found = ask(world, "jobs")
    assert [each["id"] for each in found] == [second.hex(), first.hex()]
    assert found[1] == {
        "id": first.hex(),
        "kind": "check",
        "vault": "documents",
        "state": "failed",
        "created": NOW,
        "finished": NOW + 1,
        "attempts": 1,
        "schedule": None,
        "code": "store-full",
    }


def test_the_schedules_with_last_and_next_run(world: World) -> None:
    found = ask(world, "schedules")
    assert [each["name"] for each in found] == ["nightly", "weekly"]
    assert (found[0]["last"], found[0]["last_state"]) == (None, None)
    assert (found[0]["kind"], found[0]["prune"], found[0]["prune_state"]) == ("backup", False, None)
    assert found[0]["next"] > NOW
    world.scheduler(schedules=SCHEDULES).tick(NOW)
    slot = found[0]["next"]
    world.scheduler(schedules=SCHEDULES).tick(slot + 1)
    again = ask(world, "schedules")[0]
    assert (again["last"], again["last_state"]) == (slot, "queued")


def test_an_operator_sees_only_its_own_vaults(world: World) -> None:
    world.submit()
    assert [each["vault"] for each in ask(world, "schedules", world.people.narrow)] == ["pictures"]
    assert ask(world, "jobs", world.people.narrow) == []
    assert world.registry.vault(OTHER_VAULT).name == "pictures"


def test_a_schedule_of_no_vault_is_shown_with_its_problem_to_who_may_see_all(world: World) -> None:
    planned = (*SCHEDULES, msgspec.structs.replace(SCHEDULES[0], name="typo", vault="documnets"))
    found = {each["name"]: each for each in ask(world, "schedules", planned=planned)}
    assert found["typo"]["problem"] == "there is no such vault"
    assert found["typo"]["next"] is None
    assert found["nightly"]["problem"] is None
    narrow = ask(world, "schedules", world.people.narrow, planned)
    assert [each["name"] for each in narrow] == ["weekly"]


@pytest.mark.parametrize("about", ["", "passwords", "__class__"])
def test_any_other_question_is_refused(world: World, about: str) -> None:
    body = world.body(job.ASK, vault=bytes(16), about=job.AskSpec("", world.people.client.public, about))
    assert submit.submit(world.parts(), world.sign(body), NOW).code == "unknown-question"


def test_a_question_leaves_nothing_in_the_ledger(world: World) -> None:
    ask(world, "jobs")
    assert not world.ledger.newest(1)
