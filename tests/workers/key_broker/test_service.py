"""What the broker gives, and to whom it gives nothing: the list of DESIGN.md, guarantees 3 and 4."""

import logging
import os

import msgspec
import pytest

from crypto import canonical
from crypto.errors import KeyRefused
from crypto.hpke import HpkeKey
from crypto.keyrecord import CHUNK_ID, DEK, KeyRecord, encryption_context
from crypto.keyrequest import Want
from crypto.registry import BACKUP, RESTORE, VaultEntry
from crypto.ticket import DECRYPT, ENCRYPT, GENERATE, INIT, end
from tests.workers.key_broker.refusals import CASES, decrypt_want, enrol
from tests.workers.key_broker.world import World
from workers.key_broker.audit import ADMITTED, ENDED, GRANTED, NOISE, REFUSED
from workers.key_broker.checks import MAX_COUNT
from workers.key_broker.service import NOISE_RATE

HOUR_MS = 3_600_000


def test_generated_key_comes_back_from_its_record(world: World) -> None:
    key, record = world.new_key()
    for operation in (ENCRYPT, DECRYPT):
        reply, (again,) = world.open(world.request(Want(operation, DEK, 1, record)))
        assert again.same_as(key)
        assert (reply.kms_calls, reply.given[0].record) == (1, b"")
    assert [entry.event for entry in world.entries()] == [ADMITTED, GRANTED] * 3


def test_record_of_a_generated_key_is_bound_to_its_vault_and_epoch(world: World) -> None:
    _, encoded = world.new_key(epoch=7)
    record = canonical.decode(KeyRecord, encoded)
    record.require(world.tenant, world.vault, DEK, 7)
    assert record.key_id == world.keystore.find("main").key_id
    assert record.created_ms == world.now


def test_several_keys_in_one_request(world: World, chunk_id_want: Want) -> None:
    reply, keys = world.open(world.request(Want(INIT, DEK, 1, b""), chunk_id_want))
    assert [(given.purpose, given.epoch) for given in reply.given] == [(DEK, 1), (CHUNK_ID, 0)]
    assert not keys[0].same_as(keys[1])


def test_audit_entry_says_who_and_what_but_no_name(world: World) -> None:
    world.new_key()
    granted = world.entries()[-1]
    assert granted.identity == world.workers[BACKUP].id.hex()
    assert (granted.tenant, granted.vault) == (world.tenant.hex(), world.vault.hex())
    assert (granted.role, granted.wants, granted.kms_calls) == (BACKUP, ("generate dek 1",), 1)
    assert "photos" not in msgspec.json.encode(granted).decode()


def test_answer_goes_to_the_list_of_role_and_nonce(world: World) -> None:
    answer = world.send(world.request(nonce=b"n" * 16))
    assert answer is not None
    assert answer.reply_list == f"reply:backup:{(b'n' * 16).hex()}"


def test_answer_to_a_hosts_worker_goes_to_the_list_of_that_host(world: World) -> None:
    enrolled = world.registry.identity(world.workers[BACKUP].id)
    world.registry = world.registry.with_identity(msgspec.structs.replace(enrolled, host="web1"))
    world._write_registry()
    assert not (answer := world.reply(world.request())) or not answer.given  # it names the list of the role
    hosted = world.send(world.request(role="backup.web1", nonce=b"n" * 16))
    assert hosted is not None
    assert hosted.reply_list == f"reply:backup.web1:{(b'n' * 16).hex()}"
    assert world.entries()[-1].kms_calls == 1


def test_missing_local_cmk_is_made_for_vault_initialisation_only(world: World) -> None:
    def names() -> list[str]:
        return [cmk.name for cmk in world.keystore.keys()]  # noqa: SIM118  (not a dict)

    vault = os.urandom(16)
    world.add_vault(VaultEntry(vault, world.tenant, "new", "file:///nowhere", "local-kms://new"))
    with pytest.raises(KeyRefused) as refusal:
        world.open(world.request(Want(GENERATE, DEK, 1, b""), ticket=world.ticket(vault=vault)))
    assert refusal.value.code == "kms-key-not-found"
    only_generate = world.ticket(vault=vault, operations=(GENERATE,))
    with pytest.raises(KeyRefused) as refusal:
        world.open(world.request(Want(INIT, DEK, 1, b""), ticket=only_generate))
    assert refusal.value.code == "out-of-scope"
    assert names() == ["main"]
    world.open(world.request(Want(INIT, DEK, 1, b""), ticket=world.ticket(vault=vault)))
    assert names() == ["main", "new"]


def test_disabled_key_gives_a_typed_refusal_that_says_what_to_do(world: World) -> None:
    _, record = world.new_key()
    world.keystore.disable("main")
    with pytest.raises(KeyRefused) as refusal:
        world.open(world.request(Want(ENCRYPT, DEK, 1, record)))
    assert refusal.value.code == "kms-key-disabled"
    assert "enable the key" in refusal.value.remedy
    assert not refusal.value.retryable
    entry = world.entries()[-1]
    assert (entry.event, entry.code, entry.step, entry.kms_calls) == (REFUSED, "kms-key-disabled", 0, 1)
    world.keystore.enable("main")
    world.open(world.request(Want(ENCRYPT, DEK, 1, record)))


def test_key_pending_deletion_tells_the_date(world: World) -> None:
    world.keystore.schedule_deletion("main", 1_999_999_999_000)
    with pytest.raises(KeyRefused, match="2033-05-18") as refusal:
        world.open(world.request())
    assert refusal.value.code == "kms-key-pending-deletion"


def test_altered_blob_is_refused_by_the_kms(world: World) -> None:
    want, record = decrypt_want(world)
    blob = record.blob[:-1] + bytes([record.blob[-1] ^ 1])
    altered = canonical.encode(msgspec.structs.replace(record, blob=blob))
    with pytest.raises(KeyRefused) as refusal:
        world.open(world.request(Want(want.operation, DEK, 1, altered)))
    assert refusal.value.code == "kms-invalid-ciphertext"


def test_record_relabelled_as_of_another_vault_does_not_open_there(world: World) -> None:
    """The clear fields may be rewritten by whoever owns the store; the KMS's context then says no."""
    vault = os.urandom(16)
    world.add_vault(VaultEntry(vault, world.tenant, "second", "file:///x", "local-kms://main"))
    want, _ = decrypt_want(world, vault=vault)
    with pytest.raises(KeyRefused) as refusal:
        world.open(world.request(want, ticket=world.ticket(vault=vault)))
    assert refusal.value.code == "kms-invalid-ciphertext"


def test_key_is_sealed_to_the_process_that_asked(world: World) -> None:
    reply = world.granted(world.request())
    context = encryption_context(world.tenant, world.vault, DEK, 1)
    record = canonical.decode(KeyRecord, reply.given[0].record)
    assert context["vault"] not in reply.given[0].sealed.hex()
    assert record.blob not in reply.given[0].sealed
    with pytest.raises(Exception, match="does not open"):
        HpkeKey.generate().open(reply.given[0].sealed, b"")


def test_revocation_acts_at_the_next_request(world: World) -> None:
    world.granted(world.request())
    enrol(world, world.workers[BACKUP], RESTORE)
    assert world.reply(world.request()) is None
    enrol(world, world.workers[BACKUP], BACKUP)
    world.granted(world.request())


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe"])
def test_damaged_registry_trusts_nobody_until_it_is_repaired(world: World, damage: bytes) -> None:
    good = world.home.registry_file.read_bytes()
    world.home.registry_file.write_bytes(damage)
    assert world.reply(world.request()) is None
    assert (world.calls, world.entries()[-1].event) == (0, NOISE)
    world.home.registry_file.write_bytes(good)
    world.granted(world.request())


def test_missing_registry_trusts_nobody(world: World) -> None:
    world.home.registry_file.unlink()
    assert world.reply(world.request()) is None
    assert world.calls == 0


def test_no_key_is_given_when_the_audit_log_cannot_be_written(world: World) -> None:
    world.state.close()
    refusal = world.refused(world.request())
    assert (refusal.code, refusal.retryable) == ("kms-unavailable", True)
    assert "home" not in refusal.message + refusal.remedy.replace("STRONGROOM_HOME", "")
    assert world.calls == 0


def test_newer_fence_is_noted_only_for_requests_that_hold(world: World) -> None:
    """Somebody with a stolen, narrower ticket must not be able to make the job's own tickets void."""
    job = os.urandom(16)
    newer = world.ticket(job=job, fence=9, operations=())
    assert world.refused(world.request(ticket=newer)).code == "out-of-scope"
    world.granted(world.request(ticket=world.ticket(job=job, fence=1)))


def test_noise_cannot_fill_the_disk_and_is_counted(world: World) -> None:
    for number in range(NOISE_RATE.burst + 50):
        assert world.service.answer(number.to_bytes(4, "big"), world.now) is None
    assert NOISE_RATE.burst <= len(world.entries()) < NOISE_RATE.burst + 20
    world.granted(world.request())


def test_nothing_secret_is_logged_or_audited(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = []
    for name in ("replay", "over budget", "unknown identity"):
        world.reply(CASES[name].build(world))
    key, record = world.new_key()
    keys.append(key)
    world.keystore.disable("main")
    world.reply(world.request(Want(ENCRYPT, DEK, 1, record)))
    seen = caplog.text.encode() + b"".join(row.body for row in world.state.audit())
    assert b"kms-key-disabled" in seen
    for secret in (bytes(key.view()), bytes(key.view()).hex().encode(), b"photos", b"main", b"nowhere"):
        assert secret not in seen


def test_status_tells_calls_totals_and_the_head_of_the_audit_log(world: World) -> None:
    world.new_key()
    world.reply(CASES["no budget"].build(world))
    status = world.service.status()
    assert status.gateway.calls == 1
    assert status.totals == {"granted": 1, "kms_calls": 1, "refused": 1, "refused:over-budget": 1}
    assert (status.audit_entries, status.audit_head) == (3, world.state.head().link.hex())


def test_a_job_that_is_over_gets_no_key_under_any_fence(world: World) -> None:
    live, job = world.ticket(job=b"l" * 16), b"o" * 16
    tickets = [world.ticket(job=job, fence=fence) for fence in (1, 2, MAX_COUNT)]
    world.granted(world.request(ticket=tickets[0]))
    for _ in range(2):
        world.service.end_job(canonical.encode(end(world.scheduler, job)), world.now)
    calls = world.calls
    assert [world.refused(world.request(ticket=each)).code for each in tickets] == ["stale-fence"] * 3
    assert world.calls == calls
    assert [entry.job for entry in world.entries() if entry.event == ENDED] == [job.hex()]
    world.granted(world.request(ticket=live))


def test_nobody_but_the_scheduler_ends_a_job(world: World) -> None:
    ticket = world.ticket(job=b"o" * 16)
    for said in (
        canonical.encode(end(world.workers[BACKUP], b"o" * 16)),
        canonical.encode(end(world.broker, b"o" * 16)),
        canonical.encode(end(world.scheduler, b"o" * 15)),
        canonical.encode(ticket),
        b"",
        os.urandom(100),
    ):
        world.service.end_job(said, world.now)
    world.granted(world.request(ticket=ticket))
