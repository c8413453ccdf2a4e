import math
import os

import msgspec
import pytest
import rich.pretty
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical, hpke, job, signing
from crypto.errors import CryptoError, Malformed, SealBroken, Untrusted
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.job import (
    AskSpec,
    BackupSpec,
    CheckSpec,
    ExtendSpec,
    ForgetSpec,
    InitSpec,
    JobRequest,
    KeepPolicy,
    ListSpec,
    PruneSpec,
    RestoreSpec,
    SealedSpec,
    SnapshotFilter,
    Spec,
    SweepSpec,
    TidySpec,
)
from crypto.registry import OPERATOR, SCHEDULER
from crypto.signing import Domain, Signed
from tests.crypto.world import NOW, World, damaged, enrol

WORKER = Identity.generate("backup")
JOB = os.urandom(16)
KEY = HpkeKey.generate().public
BACKUP = BackupSpec("file:///repo", KEY, (b"/home/secret-plans",), ("*.tmp",), ("tag",), "hostname")
SPECS: list[Spec] = [
    InitSpec("file:///repo", KEY),
    BACKUP,
    RestoreSpec("file:///repo", KEY, "latest", b"/a", (), (), "file:///delivery"),
    ListSpec("file:///repo", KEY, "", b"", "file:///delivery"),
    CheckSpec("file:///repo", KEY, True),
    TidySpec("file:///repo", KEY, (JOB,)),
    PruneSpec("file:///repo", KEY, 0.05, running=(JOB,)),
    SweepSpec("file:///repo", KEY, (JOB,)),
    ForgetSpec("file:///repo", KEY, ("abcd",)),
    ForgetSpec(
        "file:///repo", KEY, (), KeepPolicy(last=-1, tags=(("a", "b"),)), SnapshotFilter(("h",)), True, True
    ),
    ExtendSpec("file:///repo", KEY),
    AskSpec("", KEY, "jobs"),
]
SEALED = job.seal_spec(BACKUP, JOB, [enrol(WORKER)])


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_spec_opens_for_its_receivers(spec: Spec, world: World) -> None:
    others = [WORKER, world.people[SCHEDULER]]
    sealed = job.seal_spec(spec, JOB, [enrol(each) for each in others])
    assert [job.open_spec(each, JOB, sealed) for each in others] == [spec, spec]


def test_sealed_spec_shows_no_word_of_the_job() -> None:
    for word in (b"secret-plans", b"tmp", b"hostname", b"file:", b"backup", KEY[:64]):
        assert word not in SEALED


def test_spec_does_not_open_for_others(world: World) -> None:
    with pytest.raises(SealBroken):
        job.open_spec(world.stranger, JOB, SEALED)


def test_spec_readdressed_to_another_identity_does_not_open(world: World) -> None:
    copies = canonical.decode(SealedSpec, SEALED).copies
    readdressed = canonical.encode(SealedSpec(((world.stranger.id, copies[0][1]),)))
    with pytest.raises(SealBroken):
        job.open_spec(world.stranger, JOB, readdressed)


def test_spec_of_another_job_does_not_open() -> None:
    with pytest.raises(SealBroken):
        job.open_spec(WORKER, os.urandom(16), SEALED)


def test_note_does_not_pass_for_a_spec(world: World) -> None:
    plain = canonical.encode(job._SpecBox(BACKUP))
    for domain in Domain:
        copy = hpke.seal_to(WORKER.opening.public, hpke.info(domain, JOB, WORKER.id), plain)
        sealed = canonical.encode(SealedSpec(((WORKER.id, copy),)))
        if domain == Domain.SPEC:
            assert job.open_spec(WORKER, JOB, sealed) == BACKUP
        else:
            with pytest.raises(SealBroken):
                job.open_spec(WORKER, JOB, sealed)


@given(damaged(SEALED) | st.binary(max_size=200))
def test_altered_spec_is_refused(data: bytes) -> None:
    with pytest.raises((SealBroken, Malformed)):
        job.open_spec(WORKER, JOB, data)


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"\x91\x93\xa4exec\xa0\xc4\x00",  # a kind that does not exist
        b"\x91\x92\xa4init\xa0",  # too few fields
        b"\x91\x94\xa4init\xa0\xc4\x00\x01",  # too many
        b"\x91\x93\xa4init\xc4\x00\xc4\x00",  # bytes for text
    ],
)
def test_well_sealed_nonsense_is_malformed(plain: bytes) -> None:
    copy = hpke.seal_to(WORKER.opening.public, hpke.info(Domain.SPEC, JOB, WORKER.id), plain)
    with pytest.raises(Malformed):
        job.open_spec(WORKER, JOB, canonical.encode(SealedSpec(((WORKER.id, copy),))))


@pytest.mark.parametrize("share", [math.nan, math.inf, -math.inf, -0.01, 1.01, 5.0])
def test_a_share_that_is_none_is_malformed(share: float) -> None:
    """Whoever asks: the scheduler reads it like this, and so does the worker."""
    spec = PruneSpec("file:///repo", KEY, share)
    with pytest.raises(Malformed):
        job.open_spec(WORKER, JOB, job.seal_spec(spec, JOB, [enrol(WORKER)]))


def test_digest_covers_the_sealed_bytes() -> None:
    again = job.seal_spec(BACKUP, JOB, [enrol(WORKER)])
    assert job.digest(again) != job.digest(SEALED)
    assert len(job.digest(SEALED)) == 32


def test_spec_shows_its_kind_only() -> None:
    for text in (repr(BACKUP), str(BACKUP), f"{[BACKUP]}", rich.pretty.pretty_repr(BACKUP)):
        assert "BackupSpec" in text
        assert "secret-plans" not in text
        assert "hostname" not in text


REQUEST = JobRequest(1, JOB, job.BACKUP, b"v" * 16, NOW, SEALED, detached=False)
OPERATOR_IDENTITY = Identity.generate(OPERATOR)
SIGNED = job.request(OPERATOR_IDENTITY, REQUEST)


def read(signed: Signed, public: bytes = OPERATOR_IDENTITY.sign_public) -> JobRequest:
    return signing.verify(public, Domain.JOB_REQUEST, signed, JobRequest)


def test_request_is_its_operators() -> None:
    assert read(SIGNED) == REQUEST
    with pytest.raises(Untrusted):
        read(SIGNED, WORKER.sign_public)


@pytest.mark.parametrize(
    "change",
    [
        {"job": bytes(16)},
        {"kind": job.RESTORE},
        {"vault": bytes(16)},
        {"sent_ms": NOW + 1},
        {"spec": b""},
        {"detached": True},
        {"version": 0},
    ],
)
def test_every_field_of_a_request_is_signed(change: dict[str, object]) -> None:
    body = canonical.encode(msgspec.structs.replace(REQUEST, **change))
    with pytest.raises(Untrusted):
        read(msgspec.structs.replace(SIGNED, body=body))


@given(damaged(canonical.encode(SIGNED)))
def test_altered_request_is_refused(data: bytes) -> None:
    with pytest.raises(CryptoError):
        read(canonical.decode(Signed, data))
