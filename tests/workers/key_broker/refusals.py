"""Requests that must never reach a KMS: each is right in all things but one."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from crypto import canonical
from crypto.certificate import LIFETIME_MS, SKEW_MS, Certificate, ProcessKeys, ProcessSigned
from crypto.identity import Identity
from crypto.keyrecord import CHUNK_ID, DEK, KeyRecord
from crypto.keyrequest import FRESH_MS, MAX_WANTS, Want
from crypto.registry import BACKUP, RESTORE, SCHEDULER, Enrolled, VaultEntry
from crypto.signing import Domain, Signed
from crypto.ticket import DECRYPT, ENCRYPT, FORGET, GENERATE, INIT
from tests.workers.key_broker.world import World

HOUR_MS = 3_600_000


def enrol(world: World, identity: Identity, *roles: str, vaults: tuple[bytes, ...] | None = None) -> None:
    public = identity.opening.public
    world.enrol(Enrolled(identity.id, identity.name, roles, identity.sign_public, public, vaults))


@dataclass(frozen=True)
class Case:
    """`answered`: whether the requester is known well enough to be told."""

    code: str
    step: int
    build: Callable[[World], ProcessSigned]
    answered: bool = True


def decrypt_want(world: World, **changes: Any) -> tuple[Want, KeyRecord]:
    """A want for a real record with something changed."""
    _, encoded = world.new_key()
    record = msgspec.structs.replace(canonical.decode(KeyRecord, encoded), **changes)
    return Want(DECRYPT, DEK, 1, canonical.encode(record)), record


def _stranger(world: World) -> ProcessKeys:
    return ProcessKeys(Identity.generate("stranger"), BACKUP, world.now)


def _forged_ticket(world: World) -> ProcessSigned:
    mallory = Identity.generate("mallory")
    signed = world.ticket(signer=mallory)
    return world.request(ticket=Signed(world.scheduler.id, signed.body, signed.signature))


def _altered_ticket(world: World) -> ProcessSigned:
    signed = world.ticket(max_unwraps=1)
    body = signed.body[:-1] + b"\x7f"
    return world.request(ticket=Signed(signed.signer, body, signed.signature))


def _altered_message(world: World) -> ProcessSigned:
    good = world.request()
    message = good.message
    flipped = bytes([message.signature[0] ^ 1]) + message.signature[1:]
    return ProcessSigned(good.certificate, Signed(message.signer, message.body, flipped))


def _other_workers_certificate(world: World) -> ProcessSigned:
    mine, theirs = world.request(), world.keys[RESTORE].certificate
    return ProcessSigned(theirs, mine.message)


def _certificate(world: World, **changes: Any) -> ProcessSigned:
    """A request under a certificate with something changed, signed by the right identity."""
    keys, identity = world.keys[BACKUP], world.workers[BACKUP]
    certificate = canonical.decode(Certificate, keys.certificate.body)
    changed = identity.sign(Domain.CERTIFICATE, msgspec.structs.replace(certificate, **changes))
    return ProcessSigned(changed, world.request().message)


def _old_certificate(world: World) -> ProcessSigned:
    keys = ProcessKeys(world.workers[BACKUP], BACKUP, world.now - LIFETIME_MS - SKEW_MS - 1)
    return world.request(keys=keys)


def _revoked(world: World) -> ProcessSigned:
    request = world.request()
    enrol(world, world.workers[BACKUP], RESTORE)
    return request


def _not_for_this_vault(world: World) -> ProcessSigned:
    enrol(world, world.workers[BACKUP], BACKUP, vaults=(os.urandom(16),))
    return world.request()


def _scheduler_of_another_vault(world: World) -> ProcessSigned:
    enrol(world, world.scheduler, SCHEDULER, vaults=(os.urandom(16),))
    return world.request()


def _ticket_of_a_worker(world: World) -> ProcessSigned:
    return world.request(ticket=world.ticket(signer=world.workers[BACKUP]))


def _other_tenants_vault(world: World) -> ProcessSigned:
    vault = os.urandom(16)
    world.add_vault(VaultEntry(vault, os.urandom(16), "theirs", "file:///x", "local-kms://main"))
    return world.request(ticket=world.ticket(vault=vault))


def _other_tenants_record(world: World) -> ProcessSigned:
    return world.request(decrypt_want(world, tenant=os.urandom(16))[0])


def _other_vaults_record(world: World) -> ProcessSigned:
    return world.request(decrypt_want(world, vault=os.urandom(16))[0])


def _other_epochs_record(world: World) -> ProcessSigned:
    return world.request(decrypt_want(world, epoch=2)[0])


def _other_purpose(world: World) -> ProcessSigned:
    want, _ = decrypt_want(world)
    return world.request(Want(DECRYPT, CHUNK_ID, 0, want.record))


def _restore_wants_to_encrypt(world: World) -> ProcessSigned:
    ticket = world.ticket(role=RESTORE)
    want = Want(GENERATE, DEK, 1, b"")
    return world.request(want, ticket=ticket, keys=world.keys[RESTORE], role=RESTORE)


def _replay(world: World) -> ProcessSigned:
    request = world.request()
    world.granted(request)
    return request


def _over_budget(world: World) -> ProcessSigned:
    ticket = world.ticket(max_unwraps=2)
    for _ in range(2):
        world.granted(world.request(ticket=ticket))
    return world.request(ticket=ticket)


def _over_budget_at_once(world: World) -> ProcessSigned:
    want = Want(GENERATE, DEK, 1, b"")
    return world.request(want, want, want, ticket=world.ticket(max_unwraps=2))


def _stale_fence(world: World) -> ProcessSigned:
    job = os.urandom(16)
    world.granted(world.request(ticket=world.ticket(job=job, fence=2)))
    return world.request(ticket=world.ticket(job=job, fence=1))


CASES = {
    "forged ticket": Case("not-trusted", 5, _forged_ticket),
    "altered ticket": Case("not-trusted", 5, _altered_ticket),
    "ticket signed by a worker": Case("not-trusted", 5, _ticket_of_a_worker),
    "ticket of an unknown signer": Case(
        "not-trusted", 5, lambda w: w.request(ticket=w.ticket(signer=Identity.generate("x")))
    ),
    "ticket of another version": Case("not-trusted", 5, lambda w: w.request(ticket=w.ticket(version=2))),
    "scheduler not enrolled for the vault": Case("out-of-scope", 5, _scheduler_of_another_vault),
    "expired ticket": Case(
        "expired",
        5,
        lambda w: w.request(ticket=w.ticket(not_before_ms=w.now - HOUR_MS, expires_ms=w.now)),
    ),
    "ticket of tomorrow": Case(
        "expired",
        5,
        lambda w: w.request(ticket=w.ticket(not_before_ms=w.now + HOUR_MS, expires_ms=w.now + 2 * HOUR_MS)),
    ),
    "ticket for a year": Case(
        "expired", 5, lambda w: w.request(ticket=w.ticket(expires_ms=w.now + 365 * 24 * HOUR_MS))
    ),
    "ticket with a short id": Case("malformed", 5, lambda w: w.request(ticket=w.ticket(jti=b"short"))),
    "ticket with a huge fence": Case("malformed", 5, lambda w: w.request(ticket=w.ticket(fence=2**63))),
    "ticket with a huge budget": Case(
        "malformed", 5, lambda w: w.request(ticket=w.ticket(max_unwraps=2**64 - 1))
    ),
    "vault of another tenant": Case("out-of-scope", 5, _other_tenants_vault),
    "other tenant named": Case(
        "out-of-scope", 5, lambda w: w.request(ticket=w.ticket(tenant=os.urandom(16)))
    ),
    "unknown vault": Case("out-of-scope", 5, lambda w: w.request(ticket=w.ticket(vault=os.urandom(16)))),
    "wrong role": Case("out-of-scope", 6, lambda w: w.request(ticket=w.ticket(role=RESTORE))),
    "worker not enrolled for the vault": Case("out-of-scope", 6, _not_for_this_vault),
    "operation not in the ticket": Case(
        "out-of-scope", 7, lambda w: w.request(ticket=w.ticket(operations=(DECRYPT,)))
    ),
    "unknown operation": Case("out-of-scope", 7, lambda w: w.request(Want("export", DEK, 1, b""))),
    "restore worker generates": Case("out-of-scope", 7, _restore_wants_to_encrypt),
    "record of another tenant": Case("out-of-scope", 7, _other_tenants_record),
    "record of another vault": Case("out-of-scope", 7, _other_vaults_record),
    "record of another epoch": Case("out-of-scope", 7, _other_epochs_record),
    "record of another purpose": Case("out-of-scope", 7, _other_purpose),
    "record that is none": Case("malformed", 7, lambda w: w.request(Want(DECRYPT, DEK, 1, b"\x00"))),
    "no record": Case("malformed", 7, lambda w: w.request(Want(ENCRYPT, DEK, 1, b""))),
    "record with a huge blob": Case(
        "malformed", 7, lambda w: w.request(decrypt_want(w, blob=bytes(9000))[0])
    ),
    "record for a new key": Case("malformed", 7, lambda w: w.request(Want(GENERATE, DEK, 1, b"x"))),
    "second chunk-id key": Case("out-of-scope", 7, lambda w: w.request(Want(GENERATE, CHUNK_ID, 0, b""))),
    "an operation of no key": Case(
        "out-of-scope",
        7,
        lambda w: w.request(Want(FORGET, DEK, 1, b""), ticket=w.ticket(operations=(FORGET,))),
    ),
    "unknown purpose": Case("out-of-scope", 7, lambda w: w.request(Want(INIT, "root", 1, b""))),
    "epoch 0": Case("malformed", 7, lambda w: w.request(Want(GENERATE, DEK, 0, b""))),
    "epoch below 0": Case("malformed", 7, lambda w: w.request(Want(GENERATE, DEK, -1, b""))),
    "epoch over 32 bits": Case("malformed", 7, lambda w: w.request(Want(GENERATE, DEK, 2**32, b""))),
    "no wants": Case("malformed", 3, lambda w: w.request(wants=())),
    "too many wants": Case(
        "malformed", 3, lambda w: w.request(*[Want(GENERATE, DEK, 1, b"")] * (MAX_WANTS + 1))
    ),
    "unknown version": Case("malformed", 3, lambda w: w.request(version=2)),
    "answer to somebody else's list": Case("malformed", 3, lambda w: w.request(reply_to="notes:00")),
    "process key that is none": Case("malformed", 3, lambda w: _certificate(w, hpke_public=b"\xff" * 1216)),
    "process key too short": Case("malformed", 3, lambda w: _certificate(w, hpke_public=b"")),
    "stale request": Case("expired", 4, lambda w: w.request(sent_ms=w.now - FRESH_MS - 1)),
    "request of the future": Case("expired", 4, lambda w: w.request(sent_ms=w.now + FRESH_MS + 1)),
    "replay": Case("replayed", 8, _replay),
    "stale fence": Case("stale-fence", 8, _stale_fence),
    "over budget": Case("over-budget", 8, _over_budget),
    "over budget in one request": Case("over-budget", 8, _over_budget_at_once),
    "no budget": Case("over-budget", 8, lambda w: w.request(ticket=w.ticket(max_unwraps=0))),
    "unknown identity": Case("not-trusted", 2, lambda w: w.request(keys=_stranger(w)), answered=False),
    "identity no longer enrolled for the role": Case("not-trusted", 2, _revoked, answered=False),
    "expired certificate": Case("expired", 2, _old_certificate, answered=False),
    "certificate for a year": Case(
        "expired", 2, lambda w: _certificate(w, not_after_ms=w.now + 365 * 24 * HOUR_MS), answered=False
    ),
    "certificate for a role never given keys": Case(
        "not-trusted", 2, lambda w: _certificate(w, role=SCHEDULER), answered=False
    ),
    "certificate for another role": Case(
        "not-trusted", 2, lambda w: _certificate(w, role=RESTORE), answered=False
    ),
    "certificate of another worker": Case("not-trusted", 2, _other_workers_certificate, answered=False),
    "altered message": Case("not-trusted", 2, _altered_message, answered=False),
    "short nonce": Case("malformed", 2, lambda w: w.request(nonce=b"x"), answered=False),
}
