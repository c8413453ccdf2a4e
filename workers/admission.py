"""From a message to a job: nothing in a message is believed before this."""

from dataclasses import dataclass

from config.errors import StrongroomError
from crypto import canonical, ticket
from crypto.errors import CryptoError
from crypto.job import MAX_SPEC, Spec, open_spec
from crypto.signing import Signed
from crypto.ticket import Ticket
from repository.access import VaultId
from workers.process import Process, now_ms


class Stray(StrongroomError):
    """A message with a good ticket that asks for nothing which its job still needs: a late copy, or a made-up number.

    It is not a failure of the job, and must not become one: whoever can write to a queue could end any job by it.
    """


@dataclass(frozen=True)
class Job:
    """An admitted job: what its ticket allows and what its requester asked for."""

    ticket: Ticket
    signed_ticket: Signed
    sealed_spec: bytes
    spec: Spec

    @property
    def id(self) -> bytes:
        """The job's id, 16 bytes."""
        return self.ticket.job

    @property
    def vault(self) -> VaultId:
        """The vault that the ticket is for."""
        return VaultId(self.ticket.tenant, self.ticket.vault)

    def texts(self) -> tuple[str, str]:
        """Ticket and spec as task arguments, for waking the next step."""
        return canonical.to_text(canonical.encode(self.signed_ticket)), canonical.to_text(self.sealed_spec)


def require_not_over(process: Process, job: Job, said: bytes) -> None:
    """Hold what lies on the broker as a job's end against the scheduler's signature: anybody may have put it there.

    Args:
        said: the end (`crypto.ticket.end`) as a task argument, or b"".

    Raises:
        Stray: a scheduler that is enrolled for the job's vault says that the job is over.
    """
    if not said:
        return
    try:
        signed = canonical.decode(Signed, canonical.from_text(said.decode("ascii", "replace")))
        over = ticket.verify_end(process.registry(), signed, job.ticket.vault)
    except CryptoError:
        return
    if over == job.id:
        raise Stray("the job is over")


def admit(process: Process, ticket_text: str, spec_text: str) -> Job:
    """Check the two arguments that every task of a job carries.

    1. Both are the canonical text of their bytes.
    2. The ticket is signed by an enrolled scheduler, in its time, and its vault is the tenant's.
    3. It is for this role and was issued for exactly this sealed spec.
    4. The spec was sealed to this identity, for this job.

    Raises:
        Malformed, Untrusted, Expired, OutOfScope, SealBroken: the message is refused, and nothing has happened.
    """
    sealed_spec = canonical.from_text(spec_text, limit=MAX_SPEC)  # 1
    signed = canonical.decode(Signed, canonical.from_text(ticket_text))
    verified = ticket.verify(process.registry(), signed, now_ms())  # 2
    ticket.require(verified, process.role, sealed_spec)  # 3
    spec = open_spec(process.identity, verified.job, sealed_spec)  # 4
    return Job(verified, signed, sealed_spec, spec)
