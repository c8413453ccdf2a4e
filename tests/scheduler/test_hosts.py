"""Jobs of one host: only its own workers are woken, can open the spec, and are believed."""

import msgspec
import pytest

from config.schedules import Schedule
from crypto import job
from crypto.errors import SealBroken
from crypto.identity import Identity
from crypto.job import BackupSpec, Spec, open_spec
from crypto.registry import BACKUP
from scheduler import reports
from scheduler.errors import Dropped
from tests.scheduler.world import NOW, VAULT, World, enrol

HOST = "web1"


@pytest.fixture
def worker(world: World) -> Identity:
    """A backup worker of HOST."""
    identity = Identity.generate(HOST)
    world.registry = world.registry.with_identity(msgspec.structs.replace(enrol(identity, BACKUP), host=HOST))
    return identity


def on(world: World, host: str) -> Spec:
    return msgspec.structs.replace(world.spec(), host=host)


def vault_on_host(world: World) -> None:
    vault = msgspec.structs.replace(world.registry.vault(VAULT), host=HOST)
    world.registry = world.registry.with_vault(vault)


def test_a_job_for_a_host_goes_to_its_queue_and_opens_for_its_worker_only(
    world: World, worker: Identity
) -> None:
    job_id = world.submit(about=on(world, HOST))
    (wake,) = world.publisher.wakes
    assert (wake.host, world.job(job_id).host) == (HOST, HOST)
    opened = open_spec(worker, job_id, wake.spec)
    assert isinstance(opened, BackupSpec)
    assert opened.host == HOST
    with pytest.raises(SealBroken):
        open_spec(world.people.workers[BACKUP], job_id, wake.spec)


def test_other_jobs_are_not_for_the_worker_of_a_host(world: World, worker: Identity) -> None:
    job_id = world.submit()
    (wake,) = world.publisher.wakes
    assert wake.host == ""
    with pytest.raises(SealBroken):
        open_spec(worker, job_id, wake.spec)


@pytest.mark.parametrize("kind", [job.BACKUP, job.INIT])
def test_the_host_of_a_vault_does_what_names_no_other(world: World, worker: Identity, kind: str) -> None:
    vault_on_host(world)
    world.submit(kind)
    assert world.publisher.wakes[0].host == HOST


@pytest.mark.parametrize("kind", [job.RESTORE, job.LIST, job.FIND, job.DIFF, job.CHECK])
def test_what_reads_no_source_is_anybodys(world: World, worker: Identity, kind: str) -> None:
    vault_on_host(world)
    world.submit(kind)
    assert world.publisher.wakes[0].host == ""


@pytest.mark.parametrize(("host", "code"), [("web2", "no-worker"), ("../x", "malformed"), ("*", "malformed")])
def test_a_host_that_is_none_or_nobodys_is_refused(
    world: World, worker: Identity, host: str, code: str
) -> None:
    job_id = world.submit(about=on(world, host))
    assert world.verdicts(job_id)[-1].code == code
    assert not world.publisher.wakes


def test_another_attempt_goes_to_the_same_host(world: World, worker: Identity) -> None:
    job_id = world.submit(about=on(world, HOST))
    text = world.report(job_id, "failed", code="store-unreachable", retryable=True, signer=worker)
    reports.report(world.parts(), text, NOW)
    world.scheduler().tick(NOW + 60_000)
    assert [wake.host for wake in world.publisher.wakes] == [HOST, HOST]
    assert world.job(job_id).fence == 2


def test_only_a_worker_of_the_host_reports_on_its_job(world: World, worker: Identity) -> None:
    hosted, common = world.submit(about=on(world, HOST)), world.submit()
    for job_id, signer in ((hosted, world.people.workers[BACKUP]), (common, worker)):
        with pytest.raises(Dropped, match="another host"):
            reports.report(world.parts(), world.report(job_id, "done", signer=signer), NOW)
        assert world.job(job_id).state == "queued"


def test_a_schedule_runs_on_its_host_and_keeps_its_name(world: World, worker: Identity) -> None:
    plan = Schedule("nightly", "documents", ("/srv",), "* * * * *", host=HOST)
    for at in (NOW, NOW + 60_000):
        world.scheduler(schedules=(plan,)).tick(at)
    (wake,) = world.publisher.wakes
    spec = open_spec(worker, wake.ticket.job, wake.spec)
    assert isinstance(spec, BackupSpec)
    assert (wake.host, spec.host, spec.hostname) == (HOST, HOST, HOST)


def test_busy_workers_of_one_host_say_nothing_about_another(world: World, worker: Identity) -> None:
    world.submit(about=on(world, HOST))
    common = world.job(world.submit())
    assert not world.ledger.others(common, (job.BACKUP,))
    world.submit()
    assert world.ledger.others(common, (job.BACKUP,))
