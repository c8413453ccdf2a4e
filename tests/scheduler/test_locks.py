import msgspec
import pytest

from crypto.job import EXTEND, ExtendSpec, open_spec
from crypto.registry import MAINTENANCE, VaultEntry
from crypto.ticket import DECRYPT
from scheduler.lifecycle import CANCELLED, FAILED
from scheduler.locks import AGAIN_MS, LONGEST_MS, pause_ms
from tests.scheduler.world import NOW, VAULT, Wake, World

HOUR_MS = 3_600_000
LOCKED = "s3://bucket/documents?lock=governance&retention=12h"


@pytest.fixture
def locked(world: World) -> World:
    """Its first vault has locks of twelve hours, the other none."""
    vaults = tuple(
        VaultEntry(each.id, each.tenant, each.name, LOCKED if each.id == VAULT else each.repo, each.kms)
        for each in world.registry.vaults
    )
    world.registry = msgspec.structs.replace(world.registry, vaults=vaults)
    return world


def extensions(world: World) -> list[Wake]:
    return [wake for wake in world.publisher.wakes if wake.task == "maintenance.extend"]


def test_a_vault_with_locks_is_looked_at_and_no_other(locked: World) -> None:
    locked.scheduler().tick(NOW)
    (wake,) = extensions(locked)
    issued = locked.check_wake(wake)
    assert (issued.vault, issued.role, issued.operations) == (VAULT, MAINTENANCE, (DECRYPT,))
    spec = open_spec(locked.people.workers[MAINTENANCE], wake.ticket.job, wake.spec)
    assert spec == ExtendSpec(LOCKED, locked.people.operator.opening.public)


def test_it_is_looked_at_again_after_a_quarter_of_the_retention(locked: World) -> None:
    locked.scheduler().tick(NOW)
    locked.scheduler().report(
        locked.report(extensions(locked)[0].ticket.job, "done", role=MAINTENANCE), NOW + 1
    )
    locked.scheduler().tick(NOW + 3 * HOUR_MS - 1)
    assert len(extensions(locked)) == 1
    locked.scheduler().tick(NOW + 3 * HOUR_MS)
    assert len(extensions(locked)) == 2
    locked.scheduler().tick(NOW + 6 * HOUR_MS)
    assert len({wake.ticket.job for wake in extensions(locked)}) == 2, "not while it is under way"


def test_a_look_that_failed_is_tried_again_sooner(locked: World) -> None:
    locked.scheduler().tick(NOW)
    failed = locked.report(extensions(locked)[0].ticket.job, "failed", role=MAINTENANCE, code="store-denied")
    locked.scheduler().report(failed, NOW + 1)
    locked.scheduler().tick(NOW + AGAIN_MS - 1)
    assert len(extensions(locked)) == 1
    locked.scheduler().tick(NOW + AGAIN_MS)
    assert len(extensions(locked)) == 2


def test_one_command_has_no_time_for_it(locked: World) -> None:
    locked.scheduler(one_shot=True).tick(NOW)
    assert not extensions(locked)


def test_nobody_misses_one_whose_stack_ended(locked: World) -> None:
    locked.scheduler().tick(NOW)
    own = extensions(locked)[0].ticket.job
    asked = locked.submit(EXTEND, about=ExtendSpec(LOCKED, locked.people.client.public))
    locked.scheduler().stop(NOW + 1)
    assert locked.job(own).state == CANCELLED
    assert locked.job(asked).state == FAILED, "somebody waits for that one"


def test_without_a_maintenance_worker_there_is_none(locked: World) -> None:
    gone = locked.people.workers[MAINTENANCE].id
    kept = tuple(each for each in locked.registry.identities if each.id != gone)
    locked.registry = msgspec.structs.replace(locked.registry, identities=kept)
    locked.scheduler().tick(NOW)
    assert not extensions(locked)


@pytest.mark.parametrize(
    ("repo", "pause"),
    [
        (LOCKED, 3 * HOUR_MS),
        ("s3://bucket/x?lock=compliance&retention=400d", LONGEST_MS),
        ("s3://bucket/x", None),
        ("file:///repo", None),
        ("sftp://of/another/release", None),
    ],
)
def test_how_often(repo: str, pause: int | None) -> None:
    assert pause_ms(repo) == pause
