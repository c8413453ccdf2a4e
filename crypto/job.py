"""What a client asks for: a job request in the open, signed; and its spec, the words of the job, sealed.

The client seals the spec to the scheduler, the scheduler to the identities that will do the work. In between, in the
broker and in the ledger, there are only ids and sealed bytes.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from crypto import canonical, hpke
from crypto.errors import SealBroken
from crypto.identity import Identity
from crypto.registry import Enrolled
from crypto.signing import Domain, Signed

REQUEST_VERSION = 1
REQUEST_LIFETIME_MS = 5 * 60 * 1000
"""A request is accepted for so long after it was made; a job that is known already is never started again."""
MAX_SPEC = 512 * 1024

INIT = "init"
BACKUP = "backup"
RESTORE = "restore"
LIST = "list"
FIND = "find"
DIFF = "diff"
CHECK = "check"
CANCEL = "cancel"
STATUS = "status"
TIDY = "tidy"
FORGET = "forget"
PRUNE = "prune"
SWEEP = "sweep"
EXTEND = "extend"
ASK = "ask"


class _Spec(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=True):
    repo: str
    """URI of the vault's repository."""
    requester: bytes
    """HPKE public key that notes, results and parcels are sealed to; its private half never leaves the client."""

    def __repr__(self) -> str:
        """The kind only: a traceback or a log must not show what the job says in words."""
        return f"<{type(self).__name__}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class InitSpec(_Spec, frozen=True, tag=INIT):
    """Create the vault's first objects: keys and configuration."""


class BackupSpec(_Spec, frozen=True, tag=BACKUP):
    """Back up `paths` (absolute)."""

    paths: tuple[bytes, ...]
    excludes: tuple[str, ...]
    tags: tuple[str, ...]
    hostname: str
    host: str = ""
    """Whose workers are to read the paths; empty: the vault's host, or any backup worker."""


class SnapshotFilter(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which snapshots may be meant; everything that is empty lets all through."""

    hosts: tuple[str, ...] = ()
    """Of one of these hosts."""
    tags: tuple[tuple[str, ...], ...] = ()
    """With all tags of at least one of these groups."""
    paths: tuple[bytes, ...] = ()
    """Of backups that were asked for all of these paths, and perhaps for more."""


ANY: Final = SnapshotFilter()


class RestoreSpec(_Spec, frozen=True, tag=RESTORE):
    """Deliver a snapshot, or what lies below `path` in it, as parcels."""

    snapshot: str
    path: bytes
    includes: tuple[str, ...]
    excludes: tuple[str, ...]
    delivery: str
    """URI of the delivery area."""
    filter: SnapshotFilter = ANY
    """Among which `latest` is the newest that holds `path`; an id needs none."""
    following: bool = False
    """Whether the requester says what it has taken: workers then stay a few parcels ahead of it, and stop when it says
    nothing more. Otherwise all is delivered, for whoever comes later."""
    in_order: bool = False
    """One segment after the other, each when the one before it is delivered: for who writes what comes to a pipe."""


class ListSpec(_Spec, frozen=True, tag=LIST):
    """Deliver the snapshots (`snapshot` empty), or the entries of one below `path`."""

    snapshot: str
    path: bytes
    delivery: str
    filter: SnapshotFilter = ANY
    """Which snapshots are listed; or as of a restore."""


class FindSpec(_Spec, frozen=True, tag=FIND):
    """Deliver where paths that match occur, over many snapshots."""

    patterns: tuple[str, ...]
    ignore_case: bool
    snapshots: tuple[str, ...]
    """In these: ids, prefixes of ids, or `latest`; empty: in all that the filter lets through."""
    delivery: str
    filter: SnapshotFilter = ANY
    oldest_ns: int | None = None
    """Only what was not changed before then (mtime, since 1970)."""
    newest_ns: int | None = None
    """Only what was not changed after then."""


class DiffSpec(_Spec, frozen=True, tag=DIFF):
    """Deliver what differs at and below `path` from one snapshot to another: ids, prefixes, or `latest`."""

    first: str
    second: str
    path: bytes
    metadata: bool
    """Also what differs in nothing but metadata."""
    delivery: str


MILLIONTHS = 1_000_000
_Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Subset(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which packs a check reads, in one of three ways."""

    part: _Number = 0
    """From 1: the part of this number, of as many fixed `parts`."""
    parts: Annotated[int, msgspec.Meta(ge=0, le=MILLIONTHS)] = 0
    share: Annotated[int, msgspec.Meta(ge=0, le=MILLIONTHS)] = 0
    """Millionths of the packs, drawn at random."""
    size: _Number = 0
    """Bytes of packs, drawn at random."""


class CheckSpec(_Spec, frozen=True, tag=CHECK):
    """Verify the repository's structure, and with `read_data` every chunk, or those of some packs."""

    read_data: bool
    subset: Subset | None = None


Times = Annotated[int, Meta(ge=-1, le=1_000_000)]
"""How many of a kind are kept; -1 keeps them all."""
Units = Annotated[int, Meta(ge=0, le=100_000)]


class KeepPolicy(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which snapshots of a group stay (`repository.retention`); what no rule keeps is forgotten."""

    last: Times = 0
    hourly: Times = 0
    daily: Times = 0
    weekly: Times = 0
    monthly: Times = 0
    yearly: Times = 0
    within: tuple[Units, Units, Units, Units] = (0, 0, 0, 0)
    """Years, months, days and hours back from the newest of the group."""
    tags: tuple[tuple[str, ...], ...] = ()
    """With all tags of at least one of these groups."""


NO_POLICY: Final = KeepPolicy()


class ForgetSpec(_Spec, frozen=True, tag=FORGET):
    """Take snapshots out: those named, or those of each group (host and paths) that the policy does not keep."""

    snapshots: tuple[str, ...]
    """Ids, or beginnings of them; then there is no policy and no filter."""
    keep: KeepPolicy = NO_POLICY
    filter: SnapshotFilter = ANY
    """Which snapshots the policy is about; all others stay."""
    dry_run: bool = False
    remove_all: bool = False
    """Whether a group may be left without any snapshot."""


class PruneSpec(_Spec, frozen=True, tag=PRUNE):
    """Mark what no snapshot needs; the scheduler has it removed once that is safe."""

    max_unused: Annotated[float, Meta(ge=0.0, le=1.0)]
    """Share of the stored bytes of chunks that may stay unused, in packs of which some are used."""
    dry_run: bool = False
    running: tuple[bytes, ...] = ()
    """Backups that are not over: the scheduler says which."""


class SweepSpec(_Spec, frozen=True, tag=SWEEP):
    """Remove what this job marked and nothing needs now. Only the scheduler asks for it, when that is safe."""

    ended: tuple[bytes, ...]
    """Backups that ended lately: none of them may commit any more."""


class TidySpec(_Spec, frozen=True, tag=TIDY):
    """Remove the working objects of jobs that have ended."""

    jobs: tuple[bytes, ...]


class ExtendSpec(_Spec, frozen=True, tag=EXTEND):
    """Extend the locks of all objects that the vault's snapshots need (Object Lock)."""


class AskSpec(_Spec, frozen=True, tag=ASK):
    """Ask the scheduler what it knows: `about` is `schedules` or `jobs`. The vault of the request is all zeros."""

    about: str


Reading = RestoreSpec | ListSpec | FindSpec | DiffSpec
"""What a restore worker is asked for."""
Spec = (
    AskSpec
    | InitSpec
    | BackupSpec
    | Reading
    | CheckSpec
    | ForgetSpec
    | PruneSpec
    | SweepSpec
    | TidySpec
    | ExtendSpec
)


class JobRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The open part of a request: opaque ids, a kind, a time. Signed by an enrolled operator."""

    version: int
    job: bytes
    """Chosen by the client at random, 16 bytes; sending a request again is therefore harmless."""
    kind: str
    vault: bytes
    sent_ms: int
    spec: bytes
    """A `SealedSpec` for the scheduler; empty for `cancel` and `status`, which name a job that exists."""
    detached: bool
    """Whether the job goes on when its client is gone."""


class SealedSpec(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A spec, sealed to each identity that may open it."""

    copies: tuple[tuple[bytes, bytes], ...]
    """Pairs of identity id and HPKE message."""


class _SpecBox(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    spec: Spec


def request(operator: Identity, body: JobRequest) -> Signed:
    """Sign a job request."""
    return operator.sign(Domain.JOB_REQUEST, body)


def digest(sealed_spec: bytes) -> bytes:
    """What a ticket binds a sealed spec by: SHA-256."""
    return hashlib.sha256(sealed_spec).digest()


def seal_spec(spec: Spec, job: bytes, to: Sequence[Enrolled]) -> bytes:
    """Seal a spec to each of `to`, bound to the job."""
    plain = canonical.encode(_SpecBox(spec))
    copies = tuple(
        (who.id, hpke.seal_to(who.hpke_public, hpke.info(Domain.SPEC, job, who.id), plain)) for who in to
    )
    return canonical.encode(SealedSpec(copies))


def open_spec(identity: Identity, job: bytes, sealed_spec: bytes) -> Spec:
    """Open the copy of a spec that was sealed to `identity`.

    Raises:
        SealBroken: there is none, or it is for another job, or altered.
        Malformed: not a spec.
    """
    for who, copy in canonical.decode(SealedSpec, sealed_spec).copies:
        if who == identity.id:
            plain = identity.opening.open(copy, hpke.info(Domain.SPEC, job, identity.id))
            return canonical.decode(_SpecBox, plain).spec
    raise SealBroken(
        "the spec was not sealed to this identity", remedy="enrol this identity with the scheduler"
    )
