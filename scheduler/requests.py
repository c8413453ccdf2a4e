"""Who asked for what: the checks that a request passes before anything in it is believed."""

from collections.abc import Mapping

from config.queues import is_host
from crypto import canonical, job, signing
from crypto.certificate import SKEW_MS
from crypto.errors import CryptoError, Malformed, OutOfScope, SealBroken
from crypto.hpke import PUBLIC_BYTES
from crypto.identity import Identity
from crypto.job import REQUEST_LIFETIME_MS, REQUEST_VERSION, AskSpec, JobRequest, Spec
from crypto.registry import OPERATOR, Enrolled, Registry, VaultEntry
from crypto.signing import Domain, Signed
from scheduler.errors import Dropped, Refused
from scheduler.kinds import SUBMITTABLE
from scheduler.lifecycle import Job

ID_BYTES = 16

_SPEC_OF_KIND: Mapping[str, type[object]] = {
    job.INIT: job.InitSpec,
    job.BACKUP: job.BackupSpec,
    job.RESTORE: job.RestoreSpec,
    job.LIST: job.ListSpec,
    job.FIND: job.FindSpec,
    job.DIFF: job.DiffSpec,
    job.CHECK: job.CheckSpec,
    job.FORGET: job.ForgetSpec,
    job.PRUNE: job.PruneSpec,
    job.EXTEND: job.ExtendSpec,
    job.ASK: job.AskSpec,
}
_KINDS = (*SUBMITTABLE, job.ASK, job.STATUS, job.CANCEL)


def read_request(registry: Registry, text: object) -> tuple[Enrolled, JobRequest]:
    """Read a task argument as an operator's request. Numbers as in docs/task-submission.md.

    1. The signer is enrolled as an operator.
    2. The signature holds.
    3. The ids have the length of ids.

    Raises:
        Dropped: it is not one.
    """
    try:
        signed = canonical.decode(Signed, canonical.from_text(text))
        operator = registry.identity(signed.signer)  # 1
        operator.require(OPERATOR)
        request = signing.verify(operator.sign_public, Domain.JOB_REQUEST, signed, JobRequest)  # 2
    except CryptoError as error:
        raise Dropped(f"not an operator's request: {error.message}") from error
    if len(request.job) != ID_BYTES or len(request.vault) != ID_BYTES:  # 3
        raise Dropped("an id has not 16 bytes")
    return operator, request


def check_version(request: JobRequest) -> None:
    """Check that this release knows such a request (step 4).

    Raises:
        Refused: it does not.
    """
    if request.version != REQUEST_VERSION or request.kind not in _KINDS:
        raise Refused(
            "unknown-request",
            "this scheduler does not know such a request",
            remedy="use the same release of Strongroom on both sides",
        )


def check_fresh(request: JobRequest, now_ms: int) -> None:
    """Check that a request was made just now (step 6); the limits are those of `crypto.job`.

    Raises:
        Refused: too old, or from the future.
    """
    if not now_ms - REQUEST_LIFETIME_MS <= request.sent_ms <= now_ms + SKEW_MS:
        raise Refused(
            "expired",
            "the request is too old, or from the future",
            remedy="check the clocks of both hosts, then submit it again",
        )


def check_vault(registry: Registry, operator: Enrolled, request: JobRequest) -> VaultEntry:
    """Check that a request is for a vault of its operator (step 7).

    Raises:
        Refused: unknown vault, or not one of the operator's.
    """
    try:
        vault = registry.vault(request.vault)
        operator.require(OPERATOR, request.vault)
    except OutOfScope as error:
        raise Refused(
            "out-of-scope", error.message, remedy=error.remedy or "ask for the enrolment"
        ) from error
    return vault


def open_request_spec(identity: Identity, request: JobRequest) -> Spec:
    """Open what a request is about (step 8).

    Raises:
        Refused: it does not open, is of another kind than the request, or names no key for the answer.
    """
    remedy = "seal it to this scheduler's enrolled key, for this job, as its kind"
    if len(request.spec) > job.MAX_SPEC:
        raise Refused("too-large", "the description of the job is too large", remedy="name fewer paths")
    try:
        spec = job.open_spec(identity, request.job, request.spec)
    except (SealBroken, Malformed) as error:
        raise Refused("malformed", f"the sealed description: {error.message}", remedy=remedy) from error
    if type(spec) is not _SPEC_OF_KIND[request.kind]:
        raise Refused("malformed", "the description is of another kind than the request", remedy=remedy)
    if len(spec.requester) != PUBLIC_BYTES:
        raise Refused("malformed", "the description has no key to answer to", remedy=remedy)
    return spec


def check_repository(vault: VaultEntry, spec: Spec) -> None:
    """Check that a spec is about the vault's own repository (step 9).

    Raises:
        Refused: it is about another one.
    """
    if spec.repo != vault.repo:
        raise Refused(
            "other-repository",
            "the request names another repository than the one that is registered for the vault",
            remedy="take it from the registry",
        )


def host_of(vault: VaultEntry, spec: Spec) -> str:
    """Whose workers are to do what a spec is about: for what is read or begun on a host, those of that host.

    Raises:
        Refused: the spec names what is no host.
    """
    if isinstance(spec, job.InitSpec):
        return vault.host
    if not isinstance(spec, job.BackupSpec):
        return ""
    host = spec.host or vault.host
    if host and not is_host(host):
        raise Refused("malformed", "the request names what is no host", remedy="use the host's enrolled name")
    return host


def question(spec: Spec) -> str:
    """What an ASK is about."""
    return spec.about if isinstance(spec, AskSpec) else ""


def may_see(operator: Enrolled, known: Job, scheduler: bytes) -> bool:
    """Whether a job is the operator's own, or one of the scheduler's for a vault of the operator's."""
    if known.operator == operator.id:
        return True
    return known.operator == scheduler and (operator.vaults is None or known.vault in operator.vaults)
