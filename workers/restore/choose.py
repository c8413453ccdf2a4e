"""Which snapshot a request means: one by its id, or the newest that its filter lets through and that holds its path."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from config.errors import StrongroomError
from crypto.job import ANY, ListSpec, RestoreSpec, SnapshotFilter
from repository.catalog import read_manifest
from repository.errors import FormatError, ObjectMissing, RepositoryError
from repository.manifest import Snapshot
from repository.retention import admits
from workers.restore.select import Selection
from workers.restore.session import LATEST, NoSuchSnapshot, RestoreSession, WrongSpec

_MAX_TOLD: Final = 8
"""Paths that a message names."""


class NoSuchPath(StrongroomError):
    """No snapshot that the request could mean holds anything at or below the path that was asked for."""


class LatestUnknown(StrongroomError):
    """A snapshot cannot be opened, so that it may or may not be the latest."""


def choose(session: RestoreSession, alive: Callable[[], None]) -> Snapshot:
    """The snapshot that a job's spec means, with something at the spec's path in it.

    Args:
        session: of the job.
        alive: called for each snapshot that is looked into.

    Raises:
        NoSuchSnapshot: none, or several.
        NoSuchPath: nothing at or below the path: in the snapshot, or in any that could be meant by `latest`.
        LatestUnknown: a snapshot is damaged, so that it is not known which is the latest.
        StoreError, KeyRefused, KeyBrokerSilent: that cannot be told.
    """
    spec = session.spec
    if not isinstance(spec, RestoreSpec | ListSpec):
        raise WrongSpec("this job is about no single snapshot")
    without: set[bytes] = set()
    if spec.snapshot != LATEST:
        snapshot = session.snapshot(spec.snapshot)
        if not holds(session, snapshot, spec.path, without):
            raise _no_such_path(
                f"{os.fsdecode(spec.path)!r} is not in snapshot {_short(snapshot)}, which has", snapshot
            )
        return snapshot
    meant = admitted(session.snapshots(_raise_damaged), spec.filter)
    for snapshot in reversed(meant):
        if holds(session, snapshot, spec.path, without):
            return snapshot
        alive()
    raise _no_such_path(
        f"no snapshot holds {os.fsdecode(spec.path)!r}; the newest, {_short(meant[-1])}, has", meant[-1]
    )


def admitted(found: Sequence[Snapshot], wanted: SnapshotFilter) -> list[Snapshot]:
    """Those that a filter lets through; at least one.

    Raises:
        NoSuchSnapshot: there is none.
    """
    if not found:
        raise NoSuchSnapshot("the vault has no snapshots yet", remedy="make one with `strongroom backup`")
    meant = [each for each in found if admits(wanted, each)]
    if not meant:
        raise NoSuchSnapshot(
            "no snapshot of this vault has that host, those tags and those paths",
            remedy="see which there are with `strongroom snapshots`",
        )
    return meant


def named(session: RestoreSession, name: str, wanted: SnapshotFilter = ANY) -> Snapshot:
    """The snapshot of an id, of the beginning of one, or of `latest`: the newest that the filter lets through.

    Raises:
        NoSuchSnapshot, LatestUnknown, RepositoryError: as `choose`.
    """
    if name == LATEST:
        return admitted(session.snapshots(_raise_damaged), wanted)[-1]
    return session.snapshot(name)


def holds(session: RestoreSession, snapshot: Snapshot, path: bytes, without: set[bytes]) -> bool:
    """Whether a path, or anything below it, is in a snapshot.

    Args:
        without: ids of manifests known to hold nothing of it; snapshots share most of theirs.
    """
    if not path:
        return True
    below = Selection(path)
    for ref in snapshot.manifests:
        if ref.id in without or not below.overlaps(ref):
            continue
        try:
            manifest = read_manifest(session.store, session.vault, session.keys, ref)
        except (FormatError, ObjectMissing):
            return True  # whatever was in it is named where it is delivered
        if next(below.entries(manifest.entries), None) is not None:
            return True
        without.add(ref.id)
    return False


def _no_such_path(what: str, snapshot: Snapshot) -> NoSuchPath:
    return NoSuchPath(f"{what} {_told(snapshot.paths)}", remedy="see what is there with `strongroom ls`")


def _told(paths: Iterable[bytes]) -> str:
    first = [repr(os.fsdecode(path)) for path in paths]
    more = [f"{len(first) - _MAX_TOLD} more"] if len(first) > _MAX_TOLD else []
    return ", ".join(first[:_MAX_TOLD] + more)


def _short(snapshot: Snapshot) -> str:
    return snapshot.id.hex()[:12]


def _raise_damaged(name: str, error: RepositoryError) -> None:
    raise LatestUnknown(
        f"which snapshot is the latest cannot be told: {error.message}",
        remedy="name one by its id: see `strongroom snapshots`",
    ) from error
