import multiprocessing
import os
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from workers.key_broker.audit import ADMITTED, GRANTED, REFUSED, AuditBroken, Entry
from workers.key_broker.state import (
    FENCE_KEPT_MS,
    NONCE_KEPT_MS,
    BrokerState,
    Claim,
    OverBudget,
    Replayed,
    StaleFence,
    StateError,
)

NOW = 1_790_000_000_000
ENTRY = Entry(ADMITTED, "00" * 32)
HOUR_MS = 3_600_000


def claim(**changes: Any) -> Claim:
    fields: dict[str, Any] = {
        "identity": b"i" * 16,
        "nonce": os.urandom(16),
        "sent_ms": NOW,
        "jti": b"t" * 16,
        "max_unwraps": 3,
        "expires_ms": NOW + HOUR_MS,
        "job": b"j" * 16,
        "fence": 1,
        "wants": 1,
    }
    return Claim(**(fields | changes))


@pytest.fixture
def state(tmp_path: Path) -> BrokerState:
    return BrokerState(tmp_path / "broker.db")


def test_file_is_owner_only_and_durable(state: BrokerState, tmp_path: Path) -> None:
    state.record(ENTRY, NOW)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert state._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert state._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_nonce_is_used_once_per_identity(state: BrokerState) -> None:
    state.admit(claim(nonce=b"n" * 16), ENTRY, NOW)
    with pytest.raises(Replayed):
        state.admit(claim(nonce=b"n" * 16), ENTRY, NOW)
    state.admit(claim(nonce=b"n" * 16, identity=b"o" * 16), ENTRY, NOW)


def test_nonce_is_remembered_as_long_as_its_request_could_be_accepted(state: BrokerState) -> None:
    state.admit(claim(nonce=b"n" * 16), ENTRY, NOW)
    with pytest.raises(Replayed):
        state.admit(claim(nonce=b"n" * 16), ENTRY, NOW + NONCE_KEPT_MS)
    state.admit(claim(), ENTRY, NOW + NONCE_KEPT_MS + 1)
    assert state._db.execute("SELECT count(*) FROM nonces").fetchone() == (1,)


def test_budget_counts_wanted_keys(state: BrokerState) -> None:
    state.admit(claim(wants=2), ENTRY, NOW)
    with pytest.raises(OverBudget):
        state.admit(claim(wants=2), ENTRY, NOW)
    state.admit(claim(wants=1), ENTRY, NOW)
    with pytest.raises(OverBudget):
        state.admit(claim(wants=1), ENTRY, NOW)
    state.admit(claim(jti=b"u" * 16), ENTRY, NOW)


def test_budget_is_remembered_until_the_ticket_expires(state: BrokerState) -> None:
    state.admit(claim(wants=3), ENTRY, NOW)
    with pytest.raises(OverBudget):
        state.admit(claim(), ENTRY, NOW + HOUR_MS)


def test_newer_fence_makes_older_ones_stale(state: BrokerState) -> None:
    state.admit(claim(fence=2), ENTRY, NOW)
    state.admit(claim(fence=2), ENTRY, NOW)
    with pytest.raises(StaleFence):
        state.admit(claim(fence=1), ENTRY, NOW)
    state.admit(claim(fence=1, job=b"k" * 16, jti=b"u" * 16), ENTRY, NOW)
    with pytest.raises(StaleFence):
        state.admit(claim(fence=1, jti=b"v" * 16), ENTRY, NOW + FENCE_KEPT_MS)


def test_refused_claim_changes_nothing(state: BrokerState) -> None:
    state.admit(claim(wants=3), ENTRY, NOW)
    before = list(state._db.iterdump())
    for bad in (claim(fence=5), claim(jti=b"u" * 16, fence=0)):
        with pytest.raises((OverBudget, StaleFence)):
            state.admit(bad, ENTRY, NOW)
    assert list(state._db.iterdump()) == before


def test_what_was_noted_survives_reopening(state: BrokerState, tmp_path: Path) -> None:
    state.admit(claim(nonce=b"n" * 16, wants=3), ENTRY, NOW)
    state.close()
    again = BrokerState(tmp_path / "broker.db")
    with pytest.raises(Replayed):
        again.admit(claim(nonce=b"n" * 16), ENTRY, NOW)
    with pytest.raises(OverBudget):
        again.admit(claim(), ENTRY, NOW)
    assert again.verify_audit().count == 1


def test_counters_are_totals(state: BrokerState) -> None:
    state.record(Entry(GRANTED, "a", kms_calls=2), NOW)
    state.record(Entry(GRANTED, "a", kms_calls=1), NOW)
    state.record(Entry(REFUSED, "a", code="expired"), NOW)
    assert state.counters() == {"granted": 2, "kms_calls": 3, "refused": 1, "refused:expired": 1}


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit SET body = replace(body, '00', '11') WHERE seq = 2",
        "UPDATE audit SET body = CAST(replace(body, '00', '11') AS BLOB) WHERE seq = 2",
        "UPDATE audit SET at_ms = at_ms - 1 WHERE seq = 2",
        "UPDATE audit SET at_ms = -1 WHERE seq = 2",
        "UPDATE audit SET link = 7 WHERE seq = 2",
        "UPDATE audit SET seq = -2 WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 2",
        "DELETE FROM audit WHERE seq >= 3",
        "DELETE FROM audit",
    ],
)
def test_audit_log_shows_tampering(state: BrokerState, tmp_path: Path, tampering: str) -> None:
    for number in range(4):
        state.record(Entry(GRANTED, "00" * 32, kms_calls=number), NOW + number)
    noted = state.head()
    assert state.verify_audit(noted) == noted
    with sqlite3.connect(tmp_path / "broker.db") as intruder:
        intruder.execute(tampering)
    intruder.close()
    with pytest.raises(AuditBroken):
        state.verify_audit(noted)


def test_nothing_is_written_after_an_entry_that_the_broker_did_not_write(state: BrokerState) -> None:
    state.record(ENTRY, NOW)
    state._db.execute("UPDATE audit SET link = 7")
    with pytest.raises(StateError, match="altered"):
        state.record(ENTRY, NOW)


def test_audit_log_is_read_whole_in_batches(state: BrokerState) -> None:
    state._db.execute("PRAGMA synchronous=OFF")
    for number in range(1005):
        state.record(Entry(GRANTED, str(number)), NOW)
    assert [row.entry().request for row in state.audit()] == [str(number) for number in range(1005)]
    assert state.verify_audit().count == 1005


def test_schema_of_another_release_is_refused(state: BrokerState, tmp_path: Path) -> None:
    state._db.execute("PRAGMA user_version=9")
    with pytest.raises(StateError, match="schema 9"):
        BrokerState(tmp_path / "broker.db")


def test_file_that_is_no_database_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "broker.db").write_bytes(b"no database" * 100)
    with pytest.raises(StateError, match="check the disk"):
        BrokerState(tmp_path / "broker.db")


def _admit_many(state: BrokerState, count: int) -> None:
    for _ in range(count):
        state.admit(claim(jti=os.urandom(16), job=os.urandom(16)), ENTRY, NOW)


def test_full_disk_is_a_typed_error_that_passes(state: BrokerState) -> None:
    state.record(ENTRY, NOW)
    pages = state._db.execute("PRAGMA page_count").fetchone()[0]
    state._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StateError, match="full"):
        _admit_many(state, 100)
    state._db.execute("PRAGMA max_page_count=100000")
    state.record(ENTRY, NOW)
    state.verify_audit()


def test_huge_numbers_are_a_typed_error(state: BrokerState) -> None:
    with pytest.raises(StateError):
        state.admit(claim(fence=2**70), ENTRY, NOW)
    state.admit(claim(), ENTRY, NOW)


def test_too_long_entry_is_refused(state: BrokerState) -> None:
    with pytest.raises(StateError, match="limit"):
        state.record(msgspec.structs.replace(ENTRY, wants=("x" * 70_000,)), NOW)


def _compete(path: Path, process: int, results: Any) -> None:
    state = BrokerState(path)
    admitted = replayed = 0
    for number in range(60):
        try:
            # Both processes try the same nonces, and one budget is shared by all of them.
            state.admit(claim(nonce=number.to_bytes(16, "big"), max_unwraps=50), ENTRY, NOW)
            admitted += 1
        except Replayed:
            replayed += 1
        except OverBudget:
            pass
        state.record(Entry(GRANTED, str(process)), NOW)
    results.put((admitted, replayed))


def test_two_processes_share_one_file(state: BrokerState, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [
        context.Process(target=_compete, args=(tmp_path / "broker.db", number, results)) for number in (1, 2)
    ]
    for process in processes:
        process.start()
    outcomes = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sum(admitted for admitted, _ in outcomes) == 50
    assert state.counters() == {"granted": 120, "kms_calls": 0}
    assert state.verify_audit().count == 50 + 120
