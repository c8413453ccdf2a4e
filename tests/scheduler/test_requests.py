"""Each check that a request passes, at its bounds; the whole way of a request is in test_submit.py."""

import os

import msgspec
import pytest

from crypto import job
from crypto.certificate import SKEW_MS
from crypto.hpke import PUBLIC_BYTES
from crypto.identity import Identity
from crypto.job import MAX_SPEC, REQUEST_LIFETIME_MS, REQUEST_VERSION, BackupSpec, JobRequest
from crypto.registry import VaultEntry
from scheduler import requests
from scheduler.errors import Dropped, Refused
from scheduler.kinds import SUBMITTABLE
from tests.scheduler.world import NOW, OTHER_VAULT, REPO, VAULT, World


def refused(world: World, body: JobRequest) -> str:
    with pytest.raises(Refused) as caught:
        requests.open_request_spec(world.people.scheduler, body)
    assert caught.value.remedy
    return caught.value.code


def test_a_request_is_its_operators_word_and_nobody_elses(world: World) -> None:
    body = world.body()
    operator, request = requests.read_request(world.registry, world.sign(body))
    assert (operator.id, request) == (world.people.operator.id, body)
    for signer in (world.people.stranger, world.people.scheduler, world.people.workers["backup"]):
        with pytest.raises(Dropped):
            requests.read_request(world.registry, world.sign(body, signer))


@pytest.mark.parametrize("argument", [None, 1, b"bytes", "", "not base64!", [], {"body": 1}])
def test_what_is_no_text_of_a_request_is_dropped(world: World, argument: object) -> None:
    with pytest.raises(Dropped):
        requests.read_request(world.registry, argument)


@pytest.mark.parametrize(
    ("sent_ms", "good"),
    [
        (NOW, True),
        (NOW - REQUEST_LIFETIME_MS, True),
        (NOW - REQUEST_LIFETIME_MS - 1, False),
        (NOW + SKEW_MS, True),
        (NOW + SKEW_MS + 1, False),
    ],
)
def test_a_request_is_of_now(world: World, sent_ms: int, good: bool) -> None:
    body = world.body(sent_ms=sent_ms)
    if good:
        requests.check_fresh(body, NOW)
        return
    with pytest.raises(Refused, match="too old, or from the future") as caught:
        requests.check_fresh(body, NOW)
    assert (caught.value.code, "clock" in caught.value.remedy) == ("expired", True)


@pytest.mark.parametrize(
    ("kind", "version", "good"),
    [
        *((kind, REQUEST_VERSION, True) for kind in (*SUBMITTABLE, job.ASK, job.STATUS, job.CANCEL)),
        (job.BACKUP, REQUEST_VERSION + 1, False),
        (job.TIDY, REQUEST_VERSION, False),
        ("", REQUEST_VERSION, False),
    ],
)
def test_only_known_requests_of_this_version(world: World, kind: str, version: int, good: bool) -> None:
    body = msgspec.structs.replace(world.body(), kind=kind, version=version)
    if good:
        requests.check_version(body)
        return
    with pytest.raises(Refused) as caught:
        requests.check_version(body)
    assert caught.value.code == "unknown-request"


def test_a_vault_is_the_operators_or_out_of_scope(world: World) -> None:
    operator = world.registry.identity(world.people.narrow.id)
    assert requests.check_vault(world.registry, operator, world.body(vault=OTHER_VAULT)).id == OTHER_VAULT
    for vault in (VAULT, os.urandom(16)):
        with pytest.raises(Refused) as caught:
            requests.check_vault(world.registry, operator, world.body(vault=vault))
        assert (caught.value.code, bool(caught.value.remedy)) == ("out-of-scope", True)


@pytest.mark.parametrize("kind", [*SUBMITTABLE, job.ASK])
def test_every_kind_takes_its_own_description_and_no_other(world: World, kind: str) -> None:
    about = world.spec(kind)
    body = world.body(kind)
    assert requests.open_request_spec(world.people.scheduler, body) == about
    other = world.spec(job.BACKUP if kind != job.BACKUP else job.RESTORE)
    assert refused(world, world.body(kind, about=other)) == "malformed"


@pytest.mark.parametrize("length", [0, PUBLIC_BYTES - 1, PUBLIC_BYTES + 1])
def test_a_description_needs_a_key_to_answer_to(world: World, length: int) -> None:
    about = msgspec.structs.replace(world.spec(), requester=bytes(length))
    assert refused(world, world.body(about=about)) == "malformed"


def test_a_description_that_is_too_large_is_not_opened(world: World) -> None:
    body = world.body()
    assert refused(world, msgspec.structs.replace(body, spec=bytes(MAX_SPEC + 1))) == "too-large"
    assert refused(world, msgspec.structs.replace(body, spec=bytes(MAX_SPEC))) == "malformed"


def test_a_description_is_of_the_vaults_own_repository(world: World) -> None:
    vault = world.registry.vault(VAULT)
    requests.check_repository(vault, world.spec())
    for repo in ("", REPO + "/", "file:///other"):
        with pytest.raises(Refused, match="another repository"):
            requests.check_repository(vault, msgspec.structs.replace(world.spec(), repo=repo))


@pytest.mark.parametrize(
    ("asked", "of_vault", "host"),
    [("", "", ""), ("", "ward", "ward"), ("desk", "ward", "desk"), ("desk", "", "desk")],
)
def test_who_backs_up(world: World, asked: str, of_vault: str, host: str) -> None:
    vault: VaultEntry = msgspec.structs.replace(world.registry.vault(VAULT), host=of_vault)
    about = world.spec()
    assert isinstance(about, BackupSpec)
    assert requests.host_of(vault, msgspec.structs.replace(about, host=asked)) == host
    assert requests.host_of(vault, world.spec(job.INIT)) == of_vault
    assert requests.host_of(vault, world.spec(job.CHECK)) == ""


@pytest.mark.parametrize("host", ["A", "-a", "a b", "a*", "a.", "a" * 64, "a:b"])
def test_what_is_no_host_is_no_part_of_a_queues_name(world: World, host: str) -> None:
    about = world.spec()
    assert isinstance(about, BackupSpec)
    with pytest.raises(Refused, match="no host"):
        requests.host_of(world.registry.vault(VAULT), msgspec.structs.replace(about, host=host))


@pytest.mark.parametrize(
    ("who", "by", "vault", "sees"),
    [
        ("operator", "operator", OTHER_VAULT, True),
        ("operator", "narrow", OTHER_VAULT, False),
        ("operator", "scheduler", VAULT, True),
        ("narrow", "scheduler", OTHER_VAULT, True),
        ("narrow", "scheduler", VAULT, False),
        ("narrow", "operator", OTHER_VAULT, False),
    ],
)
def test_who_sees_whose_jobs(world: World, who: str, by: str, vault: bytes, sees: bool) -> None:
    people: dict[str, Identity] = {
        name: getattr(world.people, name) for name in ("operator", "narrow", "scheduler")
    }
    known = msgspec.structs.replace(world.job(world.submit()), operator=people[by].id, vault=vault)
    operator = world.registry.identity(people[who].id)
    assert requests.may_see(operator, known, world.people.scheduler.id) is sees


def test_a_question_is_what_was_asked(world: World) -> None:
    assert requests.question(world.spec(job.ASK)) == "jobs"
    assert requests.question(world.spec()) == ""
