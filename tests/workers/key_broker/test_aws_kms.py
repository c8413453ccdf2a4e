"""The key service with `aws-kms://`: over boto3 against the strict fake, under the delivered policies."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.settings import KmsSettings
from crypto import canonical
from crypto import ticket as tickets
from crypto.keyrecord import DEK, KeyRecord
from crypto.keyrequest import Want
from crypto.kms.errors import UnsupportedKms
from crypto.registry import Registry, VaultEntry
from crypto.signing import Domain, Signed, verify
from crypto.ticket import DECRYPT, GENERATE, INIT, Ticket
from tests.aws.delivered import Delivered, environment
from tests.aws.server import DROP, THROTTLE, FakeAws, Fault
from tests.workers.key_broker.world import World
from workers.key_broker.audit import ADMITTED, GRANTED, REFUSED
from workers.key_broker.build import build_gateway


class AwsWorld(World):
    """An installation whose vault hangs on customer A's CMK in AWS, and that knows a vault of customer B's too."""

    aws: FakeAws
    delivered: Delivered


@pytest.fixture
def world(aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AwsWorld:
    delivered = Delivered(aws)
    for name, value in environment(delivered.host("key-broker"), tmp_path).items():
        monkeypatch.setenv(name, value)
    a, b = delivered.a, delivered.b
    settings = KmsSettings(**delivered.settings(), aws_connect_timeout_s=2.0, aws_read_timeout_s=5.0)
    made = AwsWorld(tmp_path, settings, tenant=a.tenant, vault=a.vault)
    made.aws, made.delivered = aws, delivered
    made.add_vault(VaultEntry(a.vault, a.tenant, "photos", "file:///nowhere", f"aws-kms://{a.key.arn}"))
    made.add_vault(VaultEntry(b.vault, b.tenant, "films", "file:///there", f"aws-kms://{b.key.arn}"))
    return made


def requests(aws: FakeAws) -> list[str]:
    """The ids of all requests to the KMS, as its own log has them."""
    return [event.request_id for event in aws.events if event.operation != "AssumeRole"]


def test_key_is_made_and_unwrapped_and_both_logs_can_be_joined(world: AwsWorld) -> None:
    key, record = world.new_key()
    assert canonical.decode(KeyRecord, record).key_id == world.delivered.a.key.arn
    _, (again,) = world.open(world.request(Want(DECRYPT, DEK, 1, record)))
    assert again.same_as(key)
    granted = [entry for entry in world.entries() if entry.event == GRANTED]
    assert [entry.kms_requests for entry in granted] == [(each,) for each in requests(world.aws)]
    assert [entry.kms_calls for entry in granted] == [1, 1]
    events = [event for event in world.aws.events if event.operation != "AssumeRole"]
    assert all(event.request["EncryptionContext"]["tenant"] == world.tenant.hex() for event in events)
    assert not [entry for entry in world.entries() if entry.event == ADMITTED and entry.kms_requests]


def test_record_keeps_the_key_material_that_wrapped_it(world: AwsWorld) -> None:
    """So that what was made before a rotation can be listed without unwrapping anything."""
    key = world.delivered.a.key
    first = canonical.decode(KeyRecord, world.new_key(1)[1])
    world.aws.keys.rotate_on_demand(key)
    second = canonical.decode(KeyRecord, world.new_key(2)[1])
    assert [first.material_id, second.material_id] == list(key.material.generations)
    _, (_,) = world.open(world.request(Want(DECRYPT, DEK, 1, canonical.encode(first))))


def test_new_vault_looks_at_its_cmk_first(world: AwsWorld, chunk_id_want: Want) -> None:
    reply = world.granted(world.request(Want(INIT, DEK, 1, b""), chunk_id_want))
    operations = [event.operation for event in world.aws.events if event.operation != "AssumeRole"]
    assert operations == ["DescribeKey", "GenerateDataKey"] * 2
    assert reply.kms_calls == 4


def test_passing_failures_are_tried_again_and_each_try_is_in_the_audit_log(world: AwsWorld) -> None:
    world.aws.script("GenerateDataKey", THROTTLE, Fault("KMSInternalException", 500), DROP)
    world.new_key()
    entry = world.entries()[-1]
    assert (entry.event, entry.kms_calls) == (GRANTED, 4)
    # The dropped one was answered by nobody, so nobody told its id.
    ids = requests(world.aws)
    assert entry.kms_requests == (ids[0], ids[1], ids[3])
    counters = world.gateway.counters
    assert (counters.calls, counters.retries, counters.throttled) == (4, 3, 1)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("Disabled", "kms-key-disabled"),
        ("PendingDeletion", "kms-key-pending-deletion"),
        ("PendingImport", "kms-key-unusable"),
        ("Unavailable", "kms-key-unusable"),
    ],
)
def test_off_switch_of_the_customer(world: AwsWorld, state: str, code: str) -> None:
    _, record = world.new_key()
    world.delivered.a.key.change(state=state)
    for want in (Want(DECRYPT, DEK, 1, record), Want(GENERATE, DEK, 2, b"")):
        refusal = world.refused(world.request(want))
        assert (refusal.code, refusal.retryable) == (code, False)
        assert refusal.remedy
        entry = world.entries()[-1]
        assert (entry.event, entry.code, entry.kms_requests[0]) in [
            (REFUSED, code, each) for each in requests(world.aws)
        ]
    world.delivered.a.key.change(state="Enabled")
    world.granted(world.request(Want(DECRYPT, DEK, 1, record)))


def test_a_kms_that_is_away_uses_up_no_ticket_by_calls_that_are_not_made(world: AwsWorld) -> None:
    """What is said is why the last call failed, however often a worker asks; then the ticket still has its unwraps."""
    ticket = world.ticket(max_unwraps=8)
    world.aws.go_away()
    for _ in range(20):
        refusal = world.refused(world.request(ticket=ticket))
        assert (refusal.code, refusal.retryable) == ("kms-unavailable", True)
        assert "AWS KMS cannot be reached" in refusal.message
    world.aws.come_back()
    deadline = time.monotonic() + 60
    while world.reply(world.request(ticket=ticket)).refusal is not None:  # type: ignore[union-attr]
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_calls_that_fail_use_up_the_ticket(world: AwsWorld) -> None:
    """A stolen worker has no more calls by making them fail."""
    ticket = world.ticket(max_unwraps=2)
    world.aws.script("GenerateDataKey", *[Fault("AccessDeniedException")] * 5)
    codes = [world.refused(world.request(ticket=ticket)).code for _ in range(5)]
    assert codes == ["kms-access-denied"] * 2 + ["over-budget"] * 3
    assert world.calls == len(world.aws.of("GenerateDataKey")) == 2


def test_revoked_key_policy_is_an_off_switch_too(world: AwsWorld) -> None:
    _, record = world.new_key()
    world.delivered.a.key.change(policy=world.delivered.b.key.latest.policy)
    assert world.refused(world.request(Want(DECRYPT, DEK, 1, record))).code == "kms-access-denied"


def test_refusal_says_nothing_of_accounts_roles_and_keys(world: AwsWorld) -> None:
    world.delivered.a.key.change(policy=world.delivered.b.key.latest.policy)
    refusal = world.refused(world.request())
    for word in ("444455556666", "111122223333", "strongroom-key-broker", "arn:"):
        assert word not in refusal.message + refusal.remedy
    assert world.entries()[-1].kms_requests[0] in refusal.message


def _verify_without_the_tenant(registry: Registry, signed: Signed, now_ms: int) -> Ticket:
    """`crypto.ticket.verify` with the check of the tenant taken out."""
    enrolled = registry.identity(signed.signer)
    return verify(enrolled.sign_public, Domain.TICKET, signed, Ticket)


def confused(world: AwsWorld, want: Want) -> Want:
    """The want of a thief who wrote A's tenant into the clear part of B's record: it is not sealed."""
    if not want.record:
        return want
    record = canonical.decode(KeyRecord, want.record)
    forged = msgspec.structs.replace(record, tenant=world.delivered.a.tenant)
    return msgspec.structs.replace(want, record=canonical.encode(forged))


@pytest.mark.parametrize("opened", [False, True], ids=["as delivered", "control"])
def test_session_tag_stops_a_ticket_of_one_tenant_for_anothers_vault(
    world: AwsWorld, monkeypatch: pytest.MonkeyPatch, opened: bool
) -> None:
    """With the check of the ticket off, AWS itself says no; with its policies opened as well, the key is given."""
    a, b = world.delivered.a, world.delivered.b
    own = world.ticket(tenant=b.tenant, vault=b.vault)
    reply, (key,) = world.open(world.request(Want(GENERATE, DEK, 1, b""), ticket=own))
    record = reply.given[0].record
    wants = [confused(world, each) for each in (Want(DECRYPT, DEK, 1, record), Want(GENERATE, DEK, 2, b""))]
    mixed: dict[str, Any] = {"tenant": a.tenant, "vault": b.vault}
    calls = world.calls
    for want in wants:
        assert world.refused(world.request(want, ticket=world.ticket(**mixed))).code == "out-of-scope"
    assert world.calls == calls

    monkeypatch.setattr(tickets, "verify", _verify_without_the_tenant)
    if opened:
        world.delivered.open_everything()
        _, (stolen,) = world.open(world.request(wants[0], ticket=world.ticket(**mixed)))
        assert stolen.same_as(key)
        return
    for want in wants:
        assert world.refused(world.request(want, ticket=world.ticket(**mixed))).code == "kms-access-denied"
        denied = world.aws.events[-1]
        assert denied.error == "AccessDeniedException"
        assert denied.principal.endswith(a.tenant[:4].hex())
        assert denied.request["EncryptionContext"]["tenant"] == b.tenant.hex()
        assert denied.request_id in world.entries()[-1].kms_requests


def test_broken_settings_are_refused_at_the_start(tmp_path: Path, world: AwsWorld) -> None:
    broken: list[dict[str, Any]] = [
        {"aws_role": "admin"},
        {"aws_endpoint": "http://kms.example"},
        {"aws_external_id": "a b"},
    ]
    for changes in broken:
        with pytest.raises(UnsupportedKms):
            build_gateway(world.home, KmsSettings(**changes))
