import os

import msgspec
import pytest
import rich.pretty
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical, hpke, notes
from crypto.certificate import LIFETIME_MS, SKEW_MS, ProcessKeys, ProcessSigned
from crypto.errors import CryptoError, Expired, Malformed, SealBroken, Untrusted
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.notes import (
    WORKERS,
    Failure,
    KeyWaiting,
    Note,
    Outcome,
    Parcel,
    Planned,
    Progress,
    Restoring,
    SealedNote,
    SegmentDone,
    Verdict,
    Waiting,
)
from crypto.registry import BACKUP, RESTORE, ROLES, SCHEDULER, Registry
from crypto.signing import Domain, Signed
from tests.crypto.world import NOW, World, damaged, enrol

JOB, OTHER_JOB = os.urandom(16), os.urandom(16)
WORKER, CHIEF = Identity.generate("restore"), Identity.generate("scheduler")
REGISTRY = Registry(identities=(enrol(WORKER, RESTORE), enrol(CHIEF, SCHEDULER)))
PROCESS = ProcessKeys(WORKER, RESTORE, NOW)
REQUESTER = HpkeKey.generate()
NOTE = SegmentDone(3, 2, ((b"/home/secret-plans", "torn"),))
WRITTEN = notes.write_note(PROCESS, RESTORE, JOB, REQUESTER.public, NOTE)
VERDICT = Verdict(JOB, "done", "", "", "", 2, 1, b"")
RULED = notes.write_verdict(CHIEF, VERDICT)


def read(signed: ProcessSigned, job: bytes = JOB, now_ms: int = NOW, registry: Registry = REGISTRY) -> Note:
    return notes.read_note(registry, signed, job, REQUESTER, now_ms)


@pytest.mark.parametrize(
    "note",
    [
        NOTE,
        Planned(1, 2, 3),
        Restoring(b"s" * 16, 4),
        Progress(1, 2, 3),
        Waiting("refused", 4),
        KeyWaiting("away", 5),
        Parcel(1, 2, 3),
        Outcome(b"{}", ((b"/a", "gone"),)),
        Failure("code", "message", "remedy"),
    ],
    ids=repr,
)
def test_note_reaches_its_requester(note: Note) -> None:
    assert read(notes.write_note(PROCESS, RESTORE, JOB, REQUESTER.public, note)) == note


def test_note_in_transit_shows_neither_words_nor_kind() -> None:
    data = canonical.encode(WRITTEN)
    assert b"secret-plans" not in data
    assert b"segment-done" not in data


def test_note_of_another_job_is_refused() -> None:
    other = notes.write_note(PROCESS, RESTORE, OTHER_JOB, REQUESTER.public, NOTE)
    with pytest.raises(Untrusted):
        read(other)


def test_note_of_another_job_under_this_jobs_name_does_not_open() -> None:
    """A worker signs what it likes, but the seal is bound to the job as well."""
    sealed = hpke.seal_to(
        REQUESTER.public, hpke.info(Domain.NOTE, OTHER_JOB), canonical.encode(notes._Box(NOTE))
    )
    with pytest.raises(SealBroken):
        read(PROCESS.sign(Domain.NOTE, SealedNote(JOB, RESTORE, sealed)))


def test_note_to_another_requester_does_not_open() -> None:
    with pytest.raises(SealBroken):
        read(notes.write_note(PROCESS, RESTORE, JOB, HpkeKey.generate().public, NOTE))


@pytest.mark.parametrize("role", [role for role in ROLES if role not in WORKERS])
def test_only_workers_write_notes(world: World, role: str) -> None:
    note = notes.write_note(world.process(role), role, JOB, REQUESTER.public, NOTE)
    with pytest.raises(Untrusted):
        read(note, registry=world.registry)


def test_worker_does_not_write_in_another_role() -> None:
    with pytest.raises(Untrusted):
        read(notes.write_note(PROCESS, BACKUP, JOB, REQUESTER.public, NOTE))


def test_removed_worker_is_not_believed() -> None:
    with pytest.raises(Untrusted):
        read(WRITTEN, registry=Registry(identities=(enrol(CHIEF, SCHEDULER),)))


def test_note_of_an_expired_process_is_refused() -> None:
    with pytest.raises(Expired):
        read(WRITTEN, now_ms=NOW + LIFETIME_MS + 1)
    with pytest.raises(Expired):
        read(WRITTEN, now_ms=NOW - SKEW_MS - 1)


@pytest.mark.parametrize("domain", [domain for domain in Domain if domain != Domain.NOTE])
def test_what_a_worker_signs_for_another_end_is_no_note(domain: Domain) -> None:
    sealed = hpke.seal_to(REQUESTER.public, hpke.info(Domain.NOTE, JOB), canonical.encode(notes._Box(NOTE)))
    with pytest.raises(Untrusted):
        read(PROCESS.sign(domain, SealedNote(JOB, RESTORE, sealed)))
    sealed = hpke.seal_to(REQUESTER.public, hpke.info(domain, JOB), canonical.encode(notes._Box(NOTE)))
    with pytest.raises(SealBroken):
        read(PROCESS.sign(Domain.NOTE, SealedNote(JOB, RESTORE, sealed)))


@given(damaged(canonical.encode(WRITTEN)) | st.binary(max_size=200))
def test_altered_note_is_refused(data: bytes) -> None:
    with pytest.raises(CryptoError):
        read(canonical.decode(ProcessSigned, data))


@given(st.binary(max_size=60) | damaged(canonical.encode(notes._Box(NOTE))))
def test_well_sealed_nonsense_is_malformed_or_another_note(plain: bytes) -> None:
    sealed = hpke.seal_to(REQUESTER.public, hpke.info(Domain.NOTE, JOB), plain)
    try:
        note = read(PROCESS.sign(Domain.NOTE, SealedNote(JOB, RESTORE, sealed)))
    except Malformed:
        return
    assert note != NOTE


@pytest.mark.parametrize("public", [b"", REQUESTER.public[:-1], bytes(1216)])
def test_note_to_what_is_no_key_is_malformed(public: bytes) -> None:
    with pytest.raises(Malformed):
        notes.write_note(PROCESS, RESTORE, JOB, public, NOTE)


def test_note_shows_its_kind_only() -> None:
    for text in (repr(NOTE), str(NOTE), f"{[NOTE]}", rich.pretty.pretty_repr(NOTE)):
        assert "SegmentDone" in text
        assert "secret-plans" not in text


def test_verdict_is_the_schedulers() -> None:
    assert notes.read_verdict(REGISTRY, RULED, JOB) == VERDICT


def test_verdict_on_another_job_is_refused() -> None:
    with pytest.raises(Untrusted):
        notes.read_verdict(REGISTRY, RULED, OTHER_JOB)


@pytest.mark.parametrize("role", [role for role in ROLES if role != SCHEDULER])
def test_only_a_scheduler_gives_verdicts(world: World, role: str) -> None:
    with pytest.raises(Untrusted):
        notes.read_verdict(world.registry, notes.write_verdict(world.people[role], VERDICT), JOB)


@pytest.mark.parametrize("domain", [domain for domain in Domain if domain != Domain.VERDICT])
def test_what_the_scheduler_signs_for_another_end_is_no_verdict(domain: Domain) -> None:
    with pytest.raises(Untrusted):
        notes.read_verdict(REGISTRY, CHIEF.sign(domain, VERDICT), JOB)


@given(damaged(canonical.encode(RULED)) | st.binary(max_size=200))
def test_altered_verdict_is_refused(data: bytes) -> None:
    with pytest.raises(CryptoError):
        notes.read_verdict(REGISTRY, canonical.decode(Signed, data), JOB)


@pytest.mark.parametrize(
    "change", [{"state": "failed"}, {"attempts": 2}, {"outcome": b"x"}, {"job": OTHER_JOB}]
)
def test_every_word_of_a_verdict_is_signed(change: dict[str, object]) -> None:
    body = canonical.encode(msgspec.structs.replace(VERDICT, **change))
    with pytest.raises(Untrusted):
        notes.read_verdict(REGISTRY, msgspec.structs.replace(RULED, body=body), OTHER_JOB)


ANSWER = notes.seal_answer(REQUESTER.public, JOB, b"names of schedules")


def test_answer_opens_for_its_question_only() -> None:
    assert notes.open_answer(REQUESTER, JOB, ANSWER) == b"names of schedules"
    assert b"names" not in ANSWER
    with pytest.raises(SealBroken):
        notes.open_answer(REQUESTER, OTHER_JOB, ANSWER)
    with pytest.raises(SealBroken):
        notes.open_answer(HpkeKey.generate(), JOB, ANSWER)


@given(damaged(ANSWER))
def test_altered_answer_does_not_open(data: bytes) -> None:
    with pytest.raises(SealBroken):
        notes.open_answer(REQUESTER, JOB, data)
