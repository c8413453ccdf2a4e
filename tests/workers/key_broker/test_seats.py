"""A tenant whose KMS hangs or answers nonsense costs that tenant its keys, and nobody else theirs."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.settings import KmsSettings
from crypto import canonical
from crypto.keyrecord import DEK, RECORD_VERSION, KeyRecord
from crypto.keyrequest import Want
from crypto.registry import VaultEntry
from crypto.ticket import DECRYPT, GENERATE
from tests.crypto.kms.test_aws_answers import ARN, CREDENTIALS, ROLE, SECRET
from tests.evil import Asked, EvilServer, answer, evil
from tests.workers.key_broker.world import World
from workers.key_broker.audit import ADMITTED, REFUSED
from workers.key_broker.gateway import RateLimited
from workers.key_broker.seats import Seats
from workers.key_broker.service import THREADS


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA0000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


class Sick(World):
    """Beside the tenant of the local KMS there is one whose KMS is `server`."""

    other: bytes

    def request_of_other(self, *wants: Want):
        return self.request(*wants, ticket=self.ticket(tenant=self.other, vault=self.other))


def sick_world(folder: Path, server: EvilServer, **settings: object) -> Sick:
    world = Sick(folder, KmsSettings(aws_endpoint=server.url, aws_sts_endpoint=server.url, **settings))  # type: ignore[arg-type]
    world.other = os.urandom(16)
    world.add_vault(VaultEntry(world.other, world.other, "films", "file:///there", f"aws-kms://{ARN}"))
    return world


@pytest.mark.usefixtures("environment")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("equal", [False, True], ids=["calls of their own", "one call for all"])
def test_a_tenant_whose_kms_hangs_leaves_threads_to_the_others(tmp_path: Path, equal: bool) -> None:
    go_on = threading.Event()

    def hang(asked: Asked) -> Iterator[bytes]:
        go_on.wait(50)
        yield answer(b"{}")

    with evil(hang) as server, ThreadPoolExecutor(THREADS) as threads:
        world = sick_world(tmp_path, server, deadline_s=50.0, aws_read_timeout_s=50.0)
        want = Want(GENERATE, DEK, 1, b"")
        if equal:
            want = Want(DECRYPT, DEK, 1, record_of(world))
        held = [threads.submit(world.reply, world.request_of_other(want)) for _ in range(3 * THREADS)]
        try:
            granted = threads.submit(world.granted, world.request()).result(40)
            assert granted.given
            assert sum(not each.done() for each in held) >= THREADS // 2
        finally:
            go_on.set()
    refused = [each.result() for each in held]
    assert all(
        reply is not None and reply.refusal is not None and reply.refusal.retryable for reply in refused
    )
    codes = {reply.refusal.code for reply in refused}  # type: ignore[union-attr]
    assert codes == {"rate-limited", "kms-unavailable"}
    # Who was sent away used nothing up.
    entries = [entry for entry in world.entries() if entry.tenant == world.other.hex()]
    turned_away = {entry.request for entry in entries if entry.code == "rate-limited"}
    assert turned_away
    assert not turned_away & {entry.request for entry in entries if entry.event == ADMITTED}


def record_of(world: Sick) -> bytes:
    """A record that could be one of the other tenant's."""
    record = KeyRecord(RECORD_VERSION, world.other, world.other, DEK, 1, ARN, "", bytes(184), world.now)
    return canonical.encode(record)


@pytest.mark.usefixtures("environment")
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "body",
    [CREDENTIALS[: CREDENTIALS.index("<SessionToken>")].encode(), b"[" * 50_000, b""],
    ids=["cut", "nested", "empty"],
)
def test_what_was_admitted_is_answered_and_ends_in_the_audit_log(
    tmp_path: Path, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with evil(lambda asked: [answer(body)]) as server:
        for role in ("", ROLE):
            world = sick_world(tmp_path / (role[-3:] or "none"), server, deadline_s=1.0, aws_role=role)
            refusal = world.refused(world.request_of_other())
            assert (refusal.code, refusal.retryable) == ("kms-unavailable", True)
            assert [entry.event for entry in world.entries()] == [ADMITTED, REFUSED]
    assert SECRET not in caplog.text + refusal.message + refusal.remedy


def test_a_defect_is_answered_and_audited_without_its_words(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(world.gateway, "generate", fail)
    refusal = world.refused(world.request())
    assert (refusal.code, refusal.retryable) == ("kms-unavailable", True)
    assert [entry.event for entry in world.entries()] == [ADMITTED, REFUSED]
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text + refusal.message


def test_shares_are_of_what_the_others_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.key_broker.seats.WAIT_S", 0.01)

    def held(seats: Seats, tenant: bytes) -> list[object]:
        got: list[object] = []
        while True:
            seat = seats.taken(tenant)
            try:
                seat.__enter__()
            except RateLimited:
                return got
            got.append(seat)

    seats = Seats(8)
    shares = [held(seats, bytes([each])) for each in range(4)]
    assert [len(each) for each in shares] == [4, 2, 1, 1]
    shares[0].pop().__exit__(None, None, None)  # type: ignore[attr-defined]
    assert len(held(seats, b"another")) == 1
    assert [len(held(Seats(total), b"a")) for total in (1, 2, 3)] == [1, 1, 2]
