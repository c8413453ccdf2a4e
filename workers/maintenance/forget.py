"""Taking snapshots out, as a plain function of an admitted job. What only they needed is for `prune` to find."""

import json
import os
from typing import Any

from config.errors import StrongroomError
from crypto import notes, report
from crypto.job import ForgetSpec
from crypto.ticket import FORGET, require_operation
from repository import layout
from repository.catalog import read_snapshots
from repository.errors import RepositoryError
from repository.forgets import AT_ONCE, drop_old, write_forget
from repository.manifest import Snapshot
from repository.place import S3Place, parse_place
from repository.retention import AHEAD_NS, Group, admits, apply
from repository.store import PruneStore
from repository.stores import open_pruner
from repository.vault import epochs, read_config
from workers.admission import Job
from workers.keys import Send, VaultKeys
from workers.maintenance.steps import WrongSpec, told_for_s
from workers.process import Process, now_ms
from workers.reporting import MAX_NAMED, Reporter

MIN_PREFIX = 4
NEWER = "newer than this forget"
"""Why a policy leaves alone what was made after its job's ticket, by the clock of who made it."""


class NoSuchSnapshot(StrongroomError):
    """The vault has no snapshot that the request could mean, or more than one."""


class NothingLeft(StrongroomError):
    """A policy would leave a group of snapshots without any: then it is more likely a slip than a wish."""


def forget(process: Process, job: Job, reporter: Reporter, send: Send) -> None:
    """Remove the snapshots that the job names, or that its policy does not keep; nothing unless all is clear.

    In a bucket, which may keep versions, it is recorded first that it is this that hides them.

    Doing it again, also after it was broken off, removes the rest. A snapshot that cannot be opened is only removed by
    its id. A policy is about what was there when the ticket was issued: a message that comes again takes nothing newer.

    Raises:
        OutOfScope: the ticket does not allow it.
        NoSuchSnapshot, NothingLeft: nothing was removed.
        StoreError, KeyRefused, KeyBrokerSilent, BrokerUnreachable, Stopped: some may be removed and others not.
        Stray: the job is over; nothing more is removed.
    """
    spec = job.spec
    if not isinstance(spec, ForgetSpec):
        raise WrongSpec("this job forgets nothing")
    require_operation(job.ticket, FORGET)
    store = open_pruner(spec.repo, process.settings.store, on_wait=reporter.waiting)
    keys = VaultKeys(process, job, store, send)
    reporter.follow(keys)
    # Proves that this is the vault's repository before anything is removed from it.
    read_config(store, job.vault, keys)
    unreadable: list[dict[str, str]] = []

    def on_damaged(name: str, error: RepositoryError) -> None:
        unreadable.append({"id": name.rpartition("/")[2], "error": error.message})

    voids: list[bytes] = []
    snapshots = read_snapshots(store, job.vault, keys, on_damaged, voids.append)
    reporter.alive()
    if spec.snapshots:
        groups: list[Group] = []
        newer: list[Snapshot] = []
        doomed = _named(store, spec.snapshots, voids, again=job.ticket.fence > 1)
        unreadable = []
    else:
        groups, newer = _grouped(spec, snapshots, job.ticket.not_before_ms * 1_000_000, now_ms() * 1_000_000)
        _require_some_left(groups, remove_all=spec.remove_all)
        doomed = [each.id for group in groups for each in group.removed]
    if not spec.dry_run:
        _remove(store, job, keys, reporter, doomed)
    looked_at = len(newer) + sum(len(group.kept) + len(group.removed) for group in groups)
    result = _outcome(snapshots, groups, newer, doomed, unreadable) | {
        "left_out": 0 if spec.snapshots else len(snapshots) - looked_at,
        "dry_run": spec.dry_run,
    }
    reporter.report(report.DONE, outcome=notes.Outcome(json.dumps(result).encode(), ()))


def _remove(store: PruneStore, job: Job, keys: VaultKeys, reporter: Reporter, doomed: list[bytes]) -> None:
    recorded = isinstance(parse_place(job.spec.repo), S3Place)
    epoch = epochs(store)[-1]
    if recorded and doomed:
        keys.sealing_epoch = epoch
    for first in range(0, len(doomed), AT_ONCE):
        snapshots = doomed[first : first + AT_ONCE]
        if recorded:
            # What a record names it answers for, also when the job is broken off before it is removed.
            reporter.go_on(look=True)
            write_forget(store, job.vault, keys, epoch, now_ms(), snapshots)
        for number, snapshot in enumerate(snapshots):
            reporter.go_on(look=number == 0)
            store.delete(layout.snapshot_name(snapshot))
    if recorded and doomed:
        drop_old(store, job.vault, keys, now_ms() / 1000, told_for_s(job.spec.repo))


def _named(store: PruneStore, wanted: tuple[str, ...], voids: list[bytes], *, again: bool) -> list[bytes]:
    """The ids that are meant.

    Args:
        voids: ids of which there is no snapshot.
        again: an earlier attempt of the job may have removed some of them.
    """
    none = {each.hex() for each in voids}
    names = [name.rpartition("/")[2] for name in store.list(layout.SNAPSHOTS)]
    names = [name for name in names if name not in none]
    found = []
    for text in wanted:
        meant = [name for name in names if name.startswith(text)] if len(text) >= MIN_PREFIX else []
        if not meant and again:
            continue
        if len(meant) != 1:
            what = "no snapshot" if not meant else f"{len(meant)} snapshots"
            raise NoSuchSnapshot(
                f"{what} of this vault has an id that begins with {text}; nothing was removed",
                remedy=f"see `strongroom snapshots`; give ids, or at least {MIN_PREFIX} digits of each",
            )
        found.append(layout.id_of(meant[0]))
    return list(dict.fromkeys(found))


def _grouped(
    spec: ForgetSpec, snapshots: list[Snapshot], asked_ns: int, now_ns: int
) -> tuple[list[Group], list[Snapshot]]:
    """What the policy says of what was there when it was asked for; and what is newer, of which it says nothing."""
    newer = [each for each in snapshots if asked_ns < each.time_ns <= now_ns + AHEAD_NS]
    others = [each for each in snapshots if not asked_ns < each.time_ns <= now_ns + AHEAD_NS]
    # One of the future is not from after the request, but from a wrong clock: that is the policy's to say.
    groups = apply(spec.keep, spec.filter, others, now_ns)
    return groups, [each for each in newer if admits(spec.filter, each)]


def _require_some_left(groups: list[Group], *, remove_all: bool) -> None:
    for group in groups:
        if group.emptied and not remove_all:
            where = " ".join(os.fsdecode(path) for path in group.paths[:8])
            raise NothingLeft(
                f"the policy keeps no snapshot of {where} on {group.hostname}; nothing was removed",
                remedy="keep at least one, or say --unsafe-allow-remove-all",
            )


def _outcome(
    snapshots: list[Snapshot],
    groups: list[Group],
    newer: list[Snapshot],
    doomed: list[bytes],
    unreadable: list[dict[str, str]],
) -> dict[str, Any]:
    """All the numbers, and as many of the snapshots as one report has room for, those that are removed first."""
    known = {each.id: each for each in snapshots}
    lines = [_line(known.get(each), each) | {"removed": True} for each in doomed]
    lines += [_line(each, each.id) | {"removed": False, "reasons": [NEWER]} for each in newer]
    lines += [
        _line(each, each.id) | {"removed": False, "reasons": list(reasons)}
        for group in groups
        for each, reasons in group.kept
    ]
    told: list[dict[str, Any]] = []
    room = MAX_NAMED
    for line in lines:
        room -= len(json.dumps(line))
        if room < 0:
            break
        told.append(line)
    return {
        "removed": len(doomed),
        "kept": len(snapshots) - sum(each in known for each in doomed),
        "snapshots": told,
        "unreadable": unreadable[:100],
        "errors": len(unreadable),
    }


def _line(snapshot: Snapshot | None, snapshot_id: bytes) -> dict[str, Any]:
    if snapshot is None:
        return {"id": snapshot_id.hex()}
    return {
        "id": snapshot_id.hex(),
        "time_ns": snapshot.time_ns,
        "hostname": snapshot.hostname,
        "paths": [os.fsdecode(path) for path in snapshot.paths[:8]],
        "tags": snapshot.tags,
    }
