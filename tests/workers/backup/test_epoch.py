"""A backup seals in the newest epoch, until its key is too old."""

import msgspec
import pytest

from crypto.keyrecord import DEK, KeyRecord
from crypto.secret import SecretKey
from crypto.ticket import GENERATE
from repository.errors import ObjectMissing
from repository.store import WriteStore
from repository.vault import epochs, write_key_record
from tests.client.deliveries import now_ms
from tests.workers.backup.conftest import Writing
from workers.backup.epoch import DAY_MS, open_epoch
from workers.backup.session import BackupSession


@pytest.fixture
def session(writing: Writing, monkeypatch: pytest.MonkeyPatch) -> BackupSession:
    """Its key-broker gives any key that is to be made."""
    opened = writing.session()

    def create(store: WriteStore, purpose: str, epoch: int, operation: str) -> SecretKey:
        assert (purpose, operation) == (DEK, GENERATE)
        add(writing, epoch, 0.0)
        return SecretKey.generate()

    monkeypatch.setattr(opened.keys, "create", create)
    return opened


def add(writing: Writing, epoch: int, days_ago: float) -> None:
    made_ms = now_ms() - int(days_ago * DAY_MS)
    record = KeyRecord(1, *writing.repo.vault, DEK, epoch, "cmk", "", b"wrapped", 0)
    write_key_record(writing.repo.store, msgspec.structs.replace(record, created_ms=made_ms))


@pytest.mark.parametrize(("days_ago", "epoch"), [(0.0, 12), (29.9, 12), (30.1, 13), (-5.0, 12)])
def test_the_newest_is_used_until_it_is_too_old(
    writing: Writing, session: BackupSession, days_ago: float, epoch: int
) -> None:
    add(writing, 12, days_ago)
    assert open_epoch(session, 30.0) == epoch
    assert open_epoch(session, 30.0) == epoch, "and then no further one is made"
    assert epochs(writing.repo.store) == [1, 12] + [13] * (epoch == 13)


def test_a_repository_without_keys_is_no_repository_of_ours(writing: Writing, session: BackupSession) -> None:
    for name in writing.repo.stored("keys/"):
        writing.repo.store.delete(name)
    with pytest.raises(ObjectMissing, match="no keys") as refused:
        open_epoch(session, 30.0)
    assert "keys/" in refused.value.remedy
