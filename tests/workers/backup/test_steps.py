"""Segments and new vaults by real steps: done once, whoever is told to do them again."""

import json
from pathlib import Path
from typing import Any

import pytest

from crypto import canonical, notes, report
from crypto.certificate import ProcessSigned
from crypto.keyrecord import KeyRecord
from crypto.report import Report
from crypto.secret import SecretKey
from repository import layout
from repository.catalog import read_done, read_manifest
from repository.errors import ObjectExists
from repository.store import WriteStore
from repository.vault import read_vault_header, write_key_record
from tests.client.deliveries import now_ms
from tests.workers.backup.conftest import Writing
from workers.admission import Stray
from workers.backup.plan import make_plan
from workers.backup.session import BackupSession
from workers.backup.steps import init_vault, run_segment


@pytest.fixture
def planned(writing: Writing) -> BackupSession:
    (writing.source / "file").write_bytes(b"content")
    session = writing.session()
    make_plan(session, writing.reporter(session.job), 10**6)
    writing.sent.clear()
    return session


def run(writing: Writing, session: BackupSession, fence: int = 1, number: int = 0) -> None:
    run_segment(session, writing.reporter(session.job), fence, number)


def test_a_segment_is_described_once_and_reported_each_time(writing: Writing, planned: BackupSession) -> None:
    run(writing, planned)
    repo, job = writing.repo, planned.job.id
    first = read_done(repo.store, repo.vault, repo.keys, layout.segment_id(job, 1, 0))
    stored = repo.stored("")
    run(writing, planned)
    assert read_done(repo.store, repo.vault, repo.keys, layout.segment_id(job, 1, 0)) == first
    assert repo.stored("") == stored
    (ref,) = first.refs
    entries = read_manifest(repo.store, repo.vault, repo.keys, ref).entries
    assert [entry.path.rpartition(b"/")[2] for entry in entries if entry.kind == "f"] == [b"file"]
    assert first.stats.files_new == 1
    assert [(each.kind, each.segment) for each in writing.reports()] == 2 * [(report.SEGMENT, 0)]


@pytest.mark.parametrize(
    ("fence", "number"), [(1, 1), (2, 0), (0, 0), (-1, 0), (1, -1), (1, 1 << 32), (1 << 40, 0)]
)
def test_a_segment_that_was_never_planned_is_a_stray(
    writing: Writing, planned: BackupSession, fence: int, number: int
) -> None:
    with pytest.raises(Stray):
        run(writing, planned, fence, number)
    assert writing.sent == []
    assert writing.repo.stored("packs/") == []


def test_whoever_ends_the_plan_of_an_earlier_attempt_says_so(
    writing: Writing, planned: BackupSession
) -> None:
    later = writing.session(job=planned.job.id, fence=2)
    run(writing, later)
    assert [each.kind for each in writing.reports()] == [report.SEGMENT, report.READY]


def made(writing: Writing, session: BackupSession, told: Report) -> Any:
    signed = canonical.decode(ProcessSigned, told.outcome)
    note = notes.read_note(writing.registry, signed, session.job.id, writing.opening, now_ms())
    assert isinstance(note, notes.Outcome)
    return json.loads(note.json)["made"]


def initialise(writing: Writing, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make a vault there, with a key-broker that gives any key; returns what was in the store at each of them."""
    session = writing.session(writing.init(folder))
    there: list[str] = []

    def create(store: WriteStore, purpose: str, epoch: int, operation: str) -> SecretKey:
        there.append(f"{purpose} after {sorted(store.list(''))}")
        write_key_record(store, KeyRecord(1, *session.vault, purpose, epoch, "cmk", "", b"wrapped", 0))
        return writing.repo.keys.dek(1)

    monkeypatch.setattr(session.keys, "create", create)
    init_vault(session, writing.reporter(session.job))
    there.append(f"made: {made(writing, session, writing.reports()[-1])}")
    return there


def test_the_configuration_comes_last_and_makes_the_vault(
    writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = writing.root_of("new")
    first, second = layout.CHUNK_ID_KEY, layout.dek_name(1)
    assert initialise(writing, folder, monkeypatch) == [
        "chunk-id after []",
        f"dek after {[first]}",
        "made: True",
    ]
    assert sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    ) == sorted([layout.CONFIG, first, second])
    assert initialise(writing, folder, monkeypatch) == ["made: False"]


def test_there_is_no_second_vault_in_a_repository(writing: Writing) -> None:
    session = writing.session(writing.init(writing.repo.folder))
    session.vault = session.vault._replace(vault=b"W" * 16)
    before = writing.repo.stored("")
    with pytest.raises(ObjectExists, match="another vault") as refused:
        init_vault(session, writing.reporter(session.job))
    assert refused.value.remedy
    assert writing.repo.stored("") == before
    assert read_vault_header(writing.repo.store).vault == writing.repo.vault.vault
