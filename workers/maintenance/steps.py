"""Checking, tidying and extending locks, as plain functions of an admitted job."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Final

from config.errors import StrongroomError
from crypto import report
from crypto.errors import KeyRefused
from crypto.job import CheckSpec, ExtendSpec, TidySpec
from repository import layout
from repository.check import Reading, check
from repository.errors import ObjectMissing
from repository.hidden import TOLD_FOR_S
from repository.needed import needed
from repository.place import S3Place, parse_place
from repository.store import PruneStore
from repository.stores import open_pruner, open_reader
from repository.usage import Subject
from repository.walk import Walk
from workers.admission import Job
from workers.indexes import cache_folder
from workers.keys import Send, VaultKeys
from workers.maintenance.live import Live
from workers.maintenance.outcome import extended_of, outcome_of
from workers.process import Process
from workers.reporting import Reporter

logger = logging.getLogger(__name__)

_EXTENDED, _LEFT = "extended", "left"
EXTENDED_AT_ONCE = 512
"""Objects between two signs of life."""
LONG_S: Final = 60 * 60
"""A job that has worked for so long and whose ticket ends then would not come further in another attempt."""
EXPIRED: Final = "expired"
"""The key-broker's word for a ticket that has ended."""


class WrongSpec(StrongroomError):
    """The job's spec is of another kind than the task."""


class TooLong(StrongroomError):
    """The job takes longer than a ticket lasts."""


def check_vault(process: Process, job: Job, reporter: Reporter, send: Send) -> None:
    """Check a repository and tell everything that is wrong with it.

    Raises:
        StoreError, CacheUnusable, KeyRefused, KeyBrokerSilent, TooLong: nothing can be said about the repository.
    """
    spec = job.spec
    if not isinstance(spec, CheckSpec):
        raise WrongSpec("this job is no check")
    settings = process.settings.store
    store = open_reader(spec.repo, settings, on_wait=reporter.waiting)
    keys = VaultKeys(process, job, store, send)
    reporter.follow(keys)
    reading = Reading(spec.read_data, spec.subset)
    with in_time("read the data in parts: --read-data-subset 1/10, then 2/10, ..."):
        found = check(
            Subject(store, job.vault, keys),
            cache_folder(process.home, process.role, job.vault),
            reading,
            Live(reporter, keys),
            told_for_s=told_for_s(spec.repo),
        )
    reporter.report(report.DONE, outcome=outcome_of(found, reading))


def tidy(process: Process, job: Job, reporter: Reporter) -> None:
    """Remove the working objects of jobs that ended; the jobs are named by the scheduler, in the spec.

    Raises:
        StoreError: the repository cannot be reached.
    """
    if not isinstance(job.spec, TidySpec):
        raise WrongSpec("this job is no tidying")
    store = open_pruner(job.spec.repo, process.settings.store)
    for ended in job.spec.jobs:
        for name in list(store.list(layout.job_prefix(ended))):
            store.delete(name)
    reporter.report(report.DONE)


def extend_locks(process: Process, job: Job, reporter: Reporter, send: Send) -> None:
    """Extend the lock of every object that a snapshot needs, if little of it is ahead.

    Raises:
        StoreError, CacheUnusable, KeyRefused, KeyBrokerSilent, TooLong: some locks may be extended and others not.
    """
    if not isinstance(job.spec, ExtendSpec):
        raise WrongSpec("this job is not about locks")
    settings = process.settings.store
    store = open_pruner(job.spec.repo, settings, on_wait=reporter.waiting)
    keys = VaultKeys(process, job, store, send)
    reporter.follow(keys)
    walk = Walk(Live(reporter, keys))
    folder = cache_folder(process.home, process.role, job.vault)
    counts = {_EXTENDED: 0, _LEFT: 0}
    missing: list[str] = []
    with (
        in_time("extend the locks again: those that are done are left alone"),
        needed(Subject(store, job.vault, keys), folder, walk, told_for_s=told_for_s(job.spec.repo)) as found,
        # A request or two for each object: side by side, as many as the store is read with.
        ThreadPoolExecutor(settings.parallel, "extend") as pool,
    ):
        while names := list(islice(found.names, EXTENDED_AT_ONCE)):
            walk.expect(len(names))
            for name, done in zip(names, pool.map(partial(_extend, store), names), strict=True):
                if done is None:
                    missing.append(name)
                else:
                    counts[done] += 1
                walk.did()
    if missing or found.unreadable or found.hidden.newest:
        # The scheduler's own looks have no requester who would see it.
        logger.warning(
            "locks of vault %s: %d objects are missing, %d cannot be read, %d newer snapshots are hidden",
            job.vault.vault.hex(),
            len(missing),
            found.unreadable,
            len(found.hidden.newest),
        )
    reporter.report(report.DONE, outcome=extended_of(counts, missing, found))


def _extend(store: PruneStore, name: str) -> str | None:
    try:
        return _EXTENDED if store.extend(name) else _LEFT
    except ObjectMissing:
        return None


def told_for_s(repo: str) -> float:
    """For how long a snapshot is told to be hidden: as long as its lock may last."""
    place = parse_place(repo)
    return float(place.retention_s) if isinstance(place, S3Place) and place.lock else TOLD_FOR_S


@contextmanager
def in_time(remedy: str) -> Iterator[None]:
    """Let a job end that has worked for as long as a ticket lasts: another attempt would begin at the beginning.

    Raises:
        TooLong: it was so.
    """
    begun = time.monotonic()
    try:
        yield
    except KeyRefused as error:
        if error.code == EXPIRED and time.monotonic() - begun > LONG_S:
            raise TooLong("the job took longer than its ticket lasts", remedy=remedy) from error
        raise
