"""When roles were last heard of, on a real broker."""

import msgspec
import pytest

from client.signs import WORKERS, Lookout, needed, silent, stations
from config import queues
from crypto import job as jobs
from crypto.identity import Identity
from crypto.registry import BACKUP, OPERATOR, RESTORE, Registry, VaultEntry
from scheduler.kinds import KINDS, SUBMITTABLE
from tests.client.deliveries import enrolled
from tests.client.scripted import World

HOSTED = VaultEntry(b"h" * 16, bytes(16), "h", "file:///h", "local-kms://h", host="web1")
FREE = VaultEntry(b"f" * 16, bytes(16), "f", "file:///f", "local-kms://f")


def give(world: World, station: str, age_s: int = 0) -> None:
    with world.server.admin() as admin:
        admin.set(queues.sign_key(station), b"", ex=queues.SIGN_LIFE_S - age_s)


def registry() -> Registry:
    made = Registry(vaults=(HOSTED, FREE))
    for role, host in ((BACKUP, "web1"), (BACKUP, ""), (RESTORE, ""), (OPERATOR, "")):
        public = enrolled(Identity.generate(f"{role}{host}"), role)
        made = made.with_identity(msgspec.structs.replace(public, host=host))
    return made


def test_all_who_are_enrolled_for_work_are_to_run_somewhere() -> None:
    assert stations(registry()) == ("backup", "backup.web1", "beat", "key-broker", "restore", "scheduler")


@pytest.mark.parametrize(
    ("kind", "vault", "host", "worker"),
    [
        (jobs.BACKUP, HOSTED, "", "backup.web1"),
        (jobs.BACKUP, HOSTED, "web2", "backup.web2"),
        (jobs.BACKUP, FREE, "", "backup"),
        (jobs.INIT, HOSTED, "", "backup.web1"),
        (jobs.RESTORE, HOSTED, "", "restore"),
        (jobs.CHECK, HOSTED, "", "maintenance"),
    ],
)
def test_who_has_to_do_a_job(kind: str, vault: VaultEntry, host: str, worker: str) -> None:
    assert needed(registry(), kind, vault.id, host) == ("scheduler", "beat", "key-broker", worker)


def test_the_scheduler_gives_each_kind_of_job_to_those_who_are_looked_for() -> None:
    assert {kind: KINDS[kind].role for kind in SUBMITTABLE} == WORKERS


def test_a_question_is_answered_by_the_scheduler_alone() -> None:
    assert needed(registry(), jobs.ASK, bytes(16), "") == ("scheduler", "beat")


def test_who_has_given_no_sign_for_long_is_silent(world: World) -> None:
    give(world, "scheduler")
    give(world, "beat", age_s=3600)
    seen = world.session.mailbox.seen(("scheduler", "beat", "key-broker"))
    assert silent(seen) == ("beat", "key-broker")
    assert seen["key-broker"] is None
    assert 3600 <= (seen["beat"] or 0) < 7200


def test_a_silence_is_told_once_and_the_next_one_again(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.signs.LOOK_EVERY_S", 0.0)
    lookout = Lookout(world.session.mailbox, ("scheduler", "backup.web1"))
    told = "strongroom: waiting: no backup worker of web1 has been seen since "
    give(world, "scheduler")
    for age_s, lines in ((None, 1), (3600, 0), (0, 0), (3600, 1), (3600, 0)):
        if age_s is not None:
            give(world, "backup.web1", age_s)
        lookout.look()
        lookout.look()
        said = capsys.readouterr().err.splitlines()
        assert len(said) == lines
        assert all(line.startswith(told) for line in said)


def test_a_broker_that_is_away_is_somebody_elses_business(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.server.stop()
    try:
        Lookout(world.session.mailbox, ("scheduler",)).look()
    finally:
        world.server.start()
    assert capsys.readouterr().err == ""
