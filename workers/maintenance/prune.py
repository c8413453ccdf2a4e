"""The two steps of a prune, as plain functions of an admitted job: mark; and when the scheduler says so, sweep."""

import json
import secrets
from contextlib import suppress
from typing import Any, Final

from crypto import notes, report
from crypto.job import PruneSpec, SweepSpec
from crypto.ticket import PRUNE, require_operation
from repository import layout
from repository.access import VaultId
from repository.errors import ObjectExists, ObjectMissing, RepositoryError
from repository.fetch import Fetcher
from repository.index import Index, write_indexes
from repository.pack import PackWriter
from repository.prune import Decision, decide, leave_out, remove, repack
from repository.prunes import (
    NOTHING,
    Mark,
    Names,
    Struck,
    listed,
    read_mark,
    read_struck,
    read_sweep,
    read_void,
    sweeps,
    write_mark,
    write_sweep,
    write_void,
)
from repository.store import PruneStore, ReadStore
from repository.stores import open_pruner
from repository.survey import Subject, Usage, removable, survey
from repository.vault import epochs, read_config
from workers.admission import Job
from workers.indexes import cache_folder
from workers.keys import Send, VaultKeys
from workers.maintenance.steps import WrongSpec
from workers.process import Process, now_ms
from workers.reporting import Reporter

DAY_MS: Final = 24 * 60 * 60 * 1000
DEAD_UPLOAD_S: Final = 24 * 60 * 60.0
"""No writer takes so long to store one object."""
REMEMBER_MS: Final = 7 * DAY_MS
"""How long it is remembered which packs were removed: what a late index object names must not be believed."""
VOID_MS: Final = DAY_MS // 2
"""How long a snapshot must not come about: no less than `scheduler.prunes.LATE_MS`, for the same reason."""


class Superseded(RepositoryError):
    """The mark is gone: a later prune was done, and removed what this one named, or somebody removed the object."""


class _Session:
    """A vault's repository, opened for removing from it.

    Raises:
        OutOfScope: the ticket does not allow it.
        StoreError, FormatError, KeyRefused, KeyBrokerSilent: it is not to be had, or is not the vault's.
    """

    def __init__(self, process: Process, job: Job, reporter: Reporter, send: Send) -> None:
        require_operation(job.ticket, PRUNE)
        self.job = job
        self.vault: VaultId = job.vault
        self.store: PruneStore = open_pruner(job.spec.repo, process.settings.store, on_wait=reporter.waiting)
        self.keys = VaultKeys(process, job, self.store, send)
        reporter.follow(self.keys)
        read_config(self.store, self.vault, self.keys)
        self.epoch = epochs(self.store)[-1]
        self.keys.sealing_epoch = self.epoch
        self.room = cache_folder(process.home, process.role, job.vault)
        self.subject = Subject(self.store, self.vault, self.keys, reporter.alive)


def mark(process: Process, job: Job, reporter: Reporter, send: Send) -> None:
    """Find what no snapshot needs, move what is used out of packs that mostly are not, and name all the rest.

    Nothing is removed. A second delivery, or another attempt, finds the mark there and leaves it at that.

    Raises:
        OutOfScope: the ticket does not allow it.
        NotCertain: something cannot be read; nothing is marked.
        CacheUnusable: the vault is too large to be looked at in memory, and there is no disk; nothing is marked.
        StoreError, KeyRefused, KeyBrokerSilent: nothing is marked.
    """
    spec = job.spec
    if not isinstance(spec, PruneSpec):
        raise WrongSpec("this job marks nothing")
    session = _Session(process, job, reporter, send)
    store, vault, keys = session.store, session.vault, session.keys
    if not _is_there(store, layout.mark_name(job.id)) and not _is_there(store, layout.sweep_name(job.id)):
        # Listed before anything is looked at: a mark that comes meanwhile is not older, whoever made it.
        there = map(layout.prune_of, listed(store))
        older = [prune for prune, is_sweep in there if not is_sweep]
        struck = read_struck(store, vault, keys)
        with survey(session.subject, struck.packs, session.room) as usage:
            decision = decide(usage, spec.max_unused, frozenset(spec.running))
            if spec.dry_run:
                found = _told(usage, decision.packs, decision.manifests) | _to_repack(decision)
                reporter.report(report.DONE, outcome=_outcome(found | {"dry_run": True}))
                return
            emptied = _repacked(session, reporter, usage, decision)
            names = _with_older(Names(decision.packs | emptied, decision.manifests), struck, usage)
        _mark(session, reporter, names, older)
    reporter.report(report.PLANNED, segments=1)


def _repacked(session: _Session, reporter: Reporter, usage: Usage, decision: Decision) -> frozenset[bytes]:
    if not decision.repack:
        return frozenset()
    store, vault, keys, epoch = session.store, session.vault, session.keys, session.epoch

    def moved(chunks: int, size: int) -> None:
        keys.charge(epoch, chunks, size)
        reporter.progress(0, 0, size)

    writer = PackWriter(vault, epoch, keys)
    done = repack(store, Fetcher(store, vault, keys, Index()), writer, usage, decision.repack, moved)
    # A second delivery of this attempt has packs of its own, so it needs names of its own.
    write_indexes(store, vault, keys, epoch, session.job.id, 1 + secrets.randbits(31), done.written)
    return done.emptied


def _with_older(names: Names, struck: Struck, usage: Usage) -> Names:
    """Also what older marks and sweeps named, and nothing needs: whoever named it may be about to remove it."""
    packs = frozenset(pack for pack in struck.packs if usage.stores(pack) and not usage.uses(pack))
    manifests = (struck.manifests & usage.stored_manifests) - usage.manifests
    return Names(names.packs | packs, names.manifests | manifests)


def _mark(session: _Session, reporter: Reporter, names: Names, older: list[bytes]) -> None:
    store, vault, keys, prune = session.store, session.vault, session.keys, session.job.id
    reporter.go_on()
    with suppress(ObjectExists):
        write_mark(store, vault, keys, session.epoch, prune, now_ms(), names, older=older)


def sweep(process: Process, job: Job, reporter: Reporter, send: Send) -> None:
    """Remove what this job marked, if no snapshot needs it now.

    In this order, so that it may break off anywhere:

    1. What ended must not commit any more.
    2. What the snapshots need is found again: also what came to be needed since the mark stays.
    3. What is going is named.
    4. The index names it no more.
    5. It is removed.
    6. The mark goes, and old sweeps and voids.
    7. So does what writers that died have left half stored.

    Raises:
        OutOfScope: the ticket does not allow it.
        NotCertain, CacheUnusable: as of a mark; nothing is removed.
        Superseded: the mark is gone; nothing is removed.
        Stray: the job is over; nothing more is removed.
        StoreError, KeyRefused, KeyBrokerSilent, BrokerUnreachable: some may be removed; doing it again removes the
            rest.
    """
    spec = job.spec
    if not isinstance(spec, SweepSpec):
        raise WrongSpec("this job sweeps nothing")
    session = _Session(process, job, reporter, send)
    store, vault, keys = session.store, session.vault, session.keys
    marked = _marked(session)
    # All that were at work before the mark have ended, as far as the ledger knows; one put back may not know them.
    _void(session, reporter, marked.jobs.union(spec.ended))  # 1
    struck = read_struck(store, vault, keys)
    with survey(session.subject, struck.packs | marked.names.packs, session.room) as usage:  # 2
        names = removable(usage, marked.names)
    reporter.go_on(look=True)
    names = _named(session, names)  # 3
    rewritten = leave_out(store, vault, keys, session.epoch, job.id, names.packs, reporter.alive)  # 4
    reporter.go_on(look=True)
    remove(store, names, reporter.go_on)  # 5
    _clean(session, reporter, usage)  # 6
    uploads = store.sweep(DEAD_UPLOAD_S)  # 7
    found = _told(usage, names.packs, names.manifests)
    found |= {"index_objects": rewritten, "uploads": uploads, "dry_run": False}
    reporter.report(report.DONE, outcome=_outcome(found))


def _void(session: _Session, reporter: Reporter, ended: frozenset[bytes]) -> None:
    there = set(session.store.list(layout.SNAPSHOTS))
    for job in sorted(ended):
        if layout.snapshot_name(job) not in there:
            write_void(session.store, session.vault, session.keys, session.epoch, job, now_ms())
            reporter.alive()


def _marked(session: _Session) -> Mark:
    """What may be removed: what was marked; and no more than an earlier attempt has named, if there was one."""
    subject, prune = session.subject[:3], session.job.id
    if _is_there(session.store, layout.sweep_name(prune)):
        # Whoever was at work before the mark was voided before the sweep was written.
        return Mark(read_sweep(*subject, prune), frozenset(), frozenset())
    try:
        return read_mark(*subject, prune)
    except ObjectMissing as error:
        raise Superseded(
            "what this prune has marked is not there any more: a later one was done, or somebody removed it",
            remedy="prune again",
        ) from error


def _named(session: _Session, names: Names) -> Names:
    store, vault, keys, prune = session.store, session.vault, session.keys, session.job.id
    try:
        write_sweep(store, vault, keys, session.epoch, prune, now_ms(), names)
    except ObjectExists:
        told = read_sweep(store, vault, keys, prune)
        return Names(names.packs & told.packs, names.manifests & told.manifests)
    return names


def _clean(session: _Session, reporter: Reporter, usage: Usage) -> None:
    store, vault, keys = session.store, session.vault, session.keys
    now = now_ms()
    with suppress(ObjectMissing):
        # Not when the mark was made: a prune that was called off may still make one, and must not take a live one away.
        for prune in sorted(read_mark(store, vault, keys, session.job.id).older):
            # Its messages may come again: with a sweep of its own, it marks nothing anew and removes nothing.
            with suppress(ObjectExists):
                write_sweep(store, vault, keys, session.epoch, prune, now, NOTHING)
            store.delete(layout.mark_name(prune))
    store.delete(layout.mark_name(session.job.id))
    own = layout.sweep_name(session.job.id)
    for name, time_ms, _ in sweeps(store, vault, keys):
        if name != own and time_ms + REMEMBER_MS < now:
            reporter.alive()
            store.delete(name)
    for snapshot in usage.voids:
        # Another attempt of this prune may be at it as well.
        with suppress(ObjectMissing):
            if read_void(store, vault, keys, snapshot).time_ms + VOID_MS < now:
                # Of a job that no ledger knows any more, nobody else removes them.
                for name in [*store.list(layout.job_prefix(snapshot)), layout.snapshot_name(snapshot)]:
                    reporter.alive()
                    store.delete(name)


def _is_there(store: ReadStore, name: str) -> bool:
    try:
        store.size(name)
    except ObjectMissing:
        return False
    return True


def _told(usage: Usage, packs: frozenset[bytes], manifests: frozenset[bytes]) -> dict[str, Any]:
    return {
        "snapshots": usage.snapshots,
        "packs": len(packs),
        "bytes": sum(map(usage.size_of, packs)),
        "manifests": len(manifests),
        "packs_left": len(usage.stored_packs) - sum(map(usage.stores, packs)),
    }


def _to_repack(decision: Decision) -> dict[str, int]:
    return {
        "repack_packs": len(decision.repack),
        "repack_bytes": sum(pack.used for pack in decision.repack),
        "repack_frees": sum(pack.total - pack.used for pack in decision.repack),
    }


def _outcome(found: dict[str, Any]) -> notes.Outcome:
    return notes.Outcome(json.dumps(found).encode(), ())
