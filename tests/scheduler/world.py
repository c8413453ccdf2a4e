"""An installation for the scheduler's tests: real identities, a real ledger file, and a publisher that remembers."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from config.schedules import Retention, Schedule
from crypto import canonical, job, notes, report, signing, ticket
from crypto.certificate import ProcessKeys
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.job import JobRequest, Spec
from crypto.notes import Letter, Verdict
from crypto.registry import (
    BACKUP,
    MAINTENANCE,
    OPERATOR,
    RESTORE,
    SCHEDULER,
    Enrolled,
    Registry,
    VaultEntry,
)
from crypto.signing import Domain, Signed
from crypto.ticket import Ticket
from scheduler import submit
from scheduler.ledger import Ledger
from scheduler.lifecycle import Job
from scheduler.parts import Parts
from scheduler.service import Scheduler
from workers.lists import BrokerUnreachable

NOW = 1_800_000_000_000
VAULT = b"v" * 16
OTHER_VAULT = b"w" * 16
STACK = b"s" * 16
REPO = "file:///repo"
WORKER_ROLES = (BACKUP, RESTORE, MAINTENANCE)


@dataclass(frozen=True)
class Wake:
    task: str
    ticket: Ticket
    signed: Signed
    spec: bytes
    expires_s: float
    host: str = ""


@dataclass
class RememberingPublisher:
    """A broker that takes everything, or nothing while it is down."""

    wakes: list[Wake] = field(default_factory=list)
    letters: list[tuple[bytes, bytes]] = field(default_factory=list)
    ends: list[Signed] = field(default_factory=list)
    status: bytes = b""
    down: bool = False

    def wake(self, task: str, ticket: str, spec: str, expires_s: float, host: str = "") -> None:
        self._refuse_when_down()
        signed = canonical.decode(Signed, canonical.from_text(ticket))
        body = canonical.decode(Ticket, signed.body)
        self.wakes.append(Wake(task, body, signed, canonical.from_text(spec), expires_s, host))

    def end_tickets(self, job: bytes, signed: str) -> None:
        self._refuse_when_down()
        self.ends.append(canonical.decode(Signed, canonical.from_text(signed)))
        assert canonical.decode(ticket.JobOver, self.ends[-1].body).job == job

    def push_letter(self, job: bytes, letter: bytes) -> None:
        self._refuse_when_down()
        self.letters.append((job, letter))

    def publish_status(self, status: bytes) -> None:
        self._refuse_when_down()
        self.status = status

    def _refuse_when_down(self) -> None:
        if self.down:
            raise BrokerUnreachable("the broker is down")


class People:
    """Identities; made once, because keys take time."""

    def __init__(self) -> None:
        self.scheduler = Identity.generate("scheduler")
        self.operator = Identity.generate("operator")
        self.narrow = Identity.generate("narrow")
        """An operator of the other vault only."""
        self.stranger = Identity.generate("stranger")
        self.workers = {role: Identity.generate(role) for role in WORKER_ROLES}
        self.client = HpkeKey.generate()

    def registry(self) -> Registry:
        registry = (
            Registry(tenant=b"t" * 16)
            .with_identity(enrol(self.scheduler, SCHEDULER))
            .with_identity(enrol(self.operator, OPERATOR))
            .with_identity(enrol(self.narrow, OPERATOR, vaults=(OTHER_VAULT,)))
            .with_vault(VaultEntry(VAULT, b"t" * 16, "documents", REPO, "local-kms://a"))
            .with_vault(VaultEntry(OTHER_VAULT, b"t" * 16, "pictures", "file:///other", "local-kms://a"))
        )
        for role, identity in self.workers.items():
            registry = registry.with_identity(enrol(identity, role))
        return registry


def enrol(identity: Identity, *roles: str, vaults: tuple[bytes, ...] | None = None) -> Enrolled:
    return Enrolled(identity.id, identity.name, roles, identity.sign_public, identity.opening.public, vaults)


class World:
    """One installation. `registry` and the publisher may be changed by a test at any time."""

    def __init__(self, folder: Path, people: People) -> None:
        self.folder = folder
        self.people = people
        self.registry = people.registry()
        self.publisher = RememberingPublisher()
        self.ledger = Ledger(folder / "ledger.db")

    def parts(
        self,
        *,
        stack: bytes = STACK,
        one_shot: bool = False,
        schedules: tuple[Schedule, ...] = (),
        retention: tuple[Retention, ...] = (),
    ) -> Parts:
        return Parts(
            identity=self.people.scheduler,
            registry=lambda: self.registry,
            ledger=self.ledger,
            publisher=self.publisher,
            stack=stack,
            one_shot=one_shot,
            schedules=schedules,
            retention=retention,
            hostname="host",
        )

    def scheduler(self, **options: object) -> Scheduler:
        return Scheduler(self.parts(**options))  # type: ignore[arg-type]

    def spec(self, kind: str = job.BACKUP) -> Spec:
        requester = self.people.client.public
        specs: dict[str, Spec] = {
            job.INIT: job.InitSpec(REPO, requester),
            job.BACKUP: job.BackupSpec(REPO, requester, (b"/home/secret-path",), (), (), "host"),
            job.RESTORE: job.RestoreSpec(REPO, requester, "latest", b"", (), (), "file:///delivery"),
            job.LIST: job.ListSpec(REPO, requester, "", b"", "file:///delivery"),
            job.FIND: job.FindSpec(REPO, requester, ("*",), False, (), "file:///delivery"),
            job.DIFF: job.DiffSpec(REPO, requester, "latest", "latest", b"", False, "file:///delivery"),
            job.CHECK: job.CheckSpec(REPO, requester, False),
            job.FORGET: job.ForgetSpec(REPO, requester, ("abcd",)),
            job.PRUNE: job.PruneSpec(REPO, requester, 0.05),
            job.EXTEND: job.ExtendSpec(REPO, requester),
        }
        return specs.get(kind) or job.AskSpec("", requester, "jobs")

    def body(self, kind: str = job.BACKUP, *, about: Spec | None = None, **changes: object) -> JobRequest:
        """A good request with the spec `about` sealed in it, and then the given fields changed."""
        job_id = changes.get("job") or os.urandom(16)
        assert isinstance(job_id, bytes)
        scheduler = self.registry.identity(self.people.scheduler.id)
        sealed = b""
        if kind not in (job.STATUS, job.CANCEL):
            sealed = job.seal_spec(about or self.spec(kind), job_id, [scheduler])
        good = JobRequest(1, job_id, kind, VAULT, NOW, sealed, False)
        return msgspec.structs.replace(good, **changes)

    def sign(self, body: JobRequest, operator: Identity | None = None) -> str:
        return canonical.to_text(canonical.encode(job.request(operator or self.people.operator, body)))

    def submit(self, kind: str = job.BACKUP, **changes: object) -> bytes:
        """Submit a good request; returns the job's id."""
        body = self.body(kind, **changes)  # type: ignore[arg-type]
        self.scheduler().submit(self.sign(body), body.sent_ms)
        return body.job

    def ask(self, about: str, operator: Identity | None = None, **options: object) -> Any:
        """What a scheduler with these options answers to a question."""
        body = self.body(job.ASK, vault=bytes(16), about=job.AskSpec("", self.people.client.public, about))
        verdict = submit.submit(self.parts(**options), self.sign(body, operator), NOW)  # type: ignore[arg-type]
        assert verdict.state == "done", verdict
        return msgspec.json.decode(notes.open_answer(self.people.client, body.job, verdict.outcome))

    def know_vault(self) -> None:
        """Have the ledger remember that the vault was made here."""
        with self.ledger.transaction():
            self.ledger.insert(
                Job(
                    id=os.urandom(16),
                    kind=job.INIT,
                    vault=VAULT,
                    operator=self.people.operator.id,
                    detached=False,
                    stack=STACK,
                    schedule=None,
                    slot_ms=None,
                    created_ms=NOW - 1000,
                    sealed_spec=b"",
                    lease_until_ms=0,
                    state="done",
                    finished_ms=NOW - 500,
                )
            )

    def job(self, job_id: bytes) -> Job:
        found = self.ledger.get(job_id)
        assert found is not None
        return found

    def report(
        self,
        job_id: bytes,
        kind: str,
        *,
        role: str = BACKUP,
        fence: int = 1,
        at_ms: int = NOW,
        signer: Identity | None = None,
        claims: str = "",
        **changes: object,
    ) -> str:
        """A good report of a worker of `role`, with the given fields changed, as a task argument."""
        body = report.Report(
            1, os.urandom(16), job_id, fence, claims or role, kind, 0, 0, 0, 0, 0, "", False, b""
        )
        keys = ProcessKeys(signer or self.people.workers[role], role, at_ms)
        signed = keys.sign(Domain.REPORT, msgspec.structs.replace(body, **changes))
        return canonical.to_text(canonical.encode(signed))

    def verdicts(self, job_id: bytes) -> list[Verdict]:
        """Every verdict that was sent on a job, verified as a client does."""
        found = []
        for to, letter in self.publisher.letters:
            if to == job_id:
                signed = canonical.decode(Letter, letter).verdict
                assert signed is not None
                found.append(notes.read_verdict(self.registry, signed, job_id))
        return found

    def check_wake(self, wake: Wake, now_ms: int = NOW) -> Ticket:
        """Admit a wake-up as a worker does, up to opening the spec."""
        verified = ticket.verify(self.registry, wake.signed, now_ms)
        ticket.require(verified, verified.role, wake.spec)
        return verified


def text_of(signed: signing.Signed) -> str:
    return canonical.to_text(canonical.encode(signed))
