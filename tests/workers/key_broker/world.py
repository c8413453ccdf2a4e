"""A whole installation around a key service: real identities, registry, keystore, database. Nothing is replaced."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from config.home import Home
from config.queues import reply_list
from config.settings import KmsSettings
from crypto import canonical
from crypto import ticket as tickets
from crypto.certificate import ProcessKeys, ProcessSigned
from crypto.identity import Identity
from crypto.keyrecord import DEK
from crypto.keyrequest import REQUEST_VERSION, KeyReply, KeyRequest, Refusal, Want, open_reply, request_digest
from crypto.kms.keystore import Keystore
from crypto.registry import (
    BACKUP,
    KEY_BROKER,
    MAINTENANCE,
    RESTORE,
    SCHEDULER,
    Enrolled,
    Registry,
    VaultEntry,
)
from crypto.secret import SecretKey
from crypto.signing import Domain, Signed, verify
from crypto.ticket import DECRYPT, ENCRYPT, GENERATE, INIT, Ticket
from workers.key_broker.audit import Entry
from workers.key_broker.build import build_gateway
from workers.key_broker.gateway import KmsGateway
from workers.key_broker.service import Answer, KeyService, ServiceParts
from workers.key_broker.state import BrokerState
from workers.process import RegistryFile


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def enrolled(identity: Identity, *roles: str, vaults: tuple[bytes, ...] | None = None) -> Enrolled:
    return Enrolled(identity.id, identity.name, roles, identity.sign_public, identity.opening.public, vaults)


@dataclass
class World:
    """One installation with a tenant, its vault, and a worker of each role."""

    root: Path
    settings: KmsSettings = field(default_factory=KmsSettings)
    now: int = field(default_factory=now_ms)
    tenant: bytes = field(default_factory=lambda: os.urandom(16))
    vault: bytes = field(default_factory=lambda: os.urandom(16))

    def __post_init__(self) -> None:
        self.home = Home(self.root / "home")
        self.home.create()
        self.scheduler = Identity.generate("scheduler")
        self.broker = Identity.generate("key-broker")
        self.workers = {role: Identity.generate(role) for role in (BACKUP, RESTORE, MAINTENANCE)}
        self.registry = Registry(tenant=self.tenant)
        self.enrol(enrolled(self.scheduler, SCHEDULER), enrolled(self.broker, KEY_BROKER))
        self.enrol(*(enrolled(identity, role) for role, identity in self.workers.items()))
        self.add_vault(VaultEntry(self.vault, self.tenant, "photos", "file:///nowhere", "local-kms://main"))
        (self.home.identities / KEY_BROKER).write_bytes(self.broker.encode())
        self.keystore = Keystore(self.home.kms_dir)
        self.keystore.initialise()
        self.keystore.create("main")
        self.gateway: KmsGateway = build_gateway(self.home, self.settings)
        self.state = BrokerState(self.home.broker_db)
        self.service = KeyService(
            ServiceParts(self.broker, RegistryFile(self.home.registry_file).current, self.state, self.gateway)
        )
        self.keys = {role: ProcessKeys(identity, role, self.now) for role, identity in self.workers.items()}

    def enrol(self, *identities: Enrolled) -> None:
        for each in identities:
            self.registry = self.registry.with_identity(each)
        self._write_registry()

    def add_vault(self, entry: VaultEntry) -> None:
        self.registry = self.registry.with_vault(entry)
        self._write_registry()

    def _write_registry(self) -> None:
        temporary = self.home.root / "registry.new"
        temporary.write_bytes(self.registry.encode())
        temporary.rename(self.home.registry_file)

    def ticket(self, signer: Identity | None = None, **changes: Any) -> Signed:
        ticket = Ticket(
            tickets.TICKET_VERSION,
            os.urandom(16),
            os.urandom(16),
            1,
            self.tenant,
            self.vault,
            BACKUP,
            (INIT, GENERATE, ENCRYPT, DECRYPT),
            bytes(32),
            self.now,
            self.now + 3_600_000,
            8,
        )
        return tickets.issue(signer or self.scheduler, msgspec.structs.replace(ticket, **changes))

    def request(
        self, *wants: Want, ticket: Signed | None = None, keys: ProcessKeys | None = None, **changes: Any
    ) -> ProcessSigned:
        keys = keys or self.keys[BACKUP]
        nonce = changes.pop("nonce", os.urandom(16))
        body = KeyRequest(
            REQUEST_VERSION,
            ticket or self.ticket(),
            wants or (Want(GENERATE, DEK, 1, b""),),
            nonce,
            self.now,
            reply_list(changes.pop("role", BACKUP), nonce),
        )
        return keys.sign(Domain.KEY_REQUEST, msgspec.structs.replace(body, **changes))

    def send(self, request: ProcessSigned) -> Answer | None:
        return self.service.answer(canonical.encode(request), self.now)

    def open(
        self, request: ProcessSigned, keys: ProcessKeys | None = None
    ) -> tuple[KeyReply, list[SecretKey]]:
        """Send, and read the answer as a worker does."""
        answer = self.send(request)
        assert answer is not None
        signed = canonical.decode(Signed, answer.reply)
        return open_reply(self.registry, signed, request_digest(request), (keys or self.keys[BACKUP]).opening)

    def reply(self, request: ProcessSigned) -> KeyReply | None:
        """Send, and read the answer without opening it; None for silence."""
        answer = self.send(request)
        if answer is None:
            return None
        return verify(
            self.broker.sign_public, Domain.KEY_REPLY, canonical.decode(Signed, answer.reply), KeyReply
        )

    def granted(self, request: ProcessSigned) -> KeyReply:
        """Send what must be granted."""
        reply = self.reply(request)
        assert reply is not None
        assert reply.refusal is None
        return reply

    def refused(self, request: ProcessSigned) -> Refusal:
        """Send what must be refused in words, with nothing given."""
        reply = self.reply(request)
        assert reply is not None
        assert reply.given == ()
        assert reply.refusal is not None
        return reply.refusal

    def new_key(self, epoch: int = 1) -> tuple[SecretKey, bytes]:
        """A generated DEK and its record."""
        reply, (key,) = self.open(self.request(Want(GENERATE, DEK, epoch, b"")))
        return key, reply.given[0].record

    @property
    def calls(self) -> int:
        """KMS calls really made so far."""
        return self.gateway.counters.calls

    def entries(self) -> list[Entry]:
        self.state.verify_audit()
        return [row.entry() for row in self.state.audit()]
