"""Checking, tidying and extending locks, as plain functions of an admitted job."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

from config.errors import StrongroomError
from crypto import notes, report
from crypto.job import CheckSpec, ExtendSpec, TidySpec
from repository import layout
from repository.check import CheckReport, Problem, check
from repository.errors import ObjectMissing
from repository.needed import needed
from repository.store import PruneStore
from repository.stores import open_pruner, open_reader
from workers.admission import Job
from workers.keys import Send, VaultKeys
from workers.process import Process
from workers.reporting import MAX_NAMED, Reporter

EXTENDED_AT_ONCE = 512
"""Objects between two signs of life."""
MAX_TOUCHED = 1000
"""Ranges of paths that one problem names."""


class WrongSpec(StrongroomError):
    """The job's spec is of another kind than the task."""


def check_vault(process: Process, job: Job, reporter: Reporter, send: Send) -> None:
    """Check a repository and tell everything that is wrong with it.

    Raises:
        StoreError, KeyRefused, KeyBrokerSilent: nothing can be said about the repository.
    """
    if not isinstance(job.spec, CheckSpec):
        raise WrongSpec("this job is no check")
    store = open_reader(job.spec.repo, process.settings.store, on_wait=reporter.waiting)
    keys = VaultKeys(process, job, store, send)
    reporter.keys = keys

    def progress(step: str, done: int, total: int) -> None:
        reporter.progress(0, done, 0)

    found = check(store, job.vault, keys, read_data=job.spec.read_data, progress=progress)
    reporter.report(report.DONE, outcome=_outcome(found))


def _outcome(found: CheckReport) -> notes.Outcome:
    """All the numbers, and as many of the problems as one report has room for."""
    numbers = {name: value for name, value in found._asdict().items() if isinstance(value, int)}
    told: list[dict[str, object]] = []
    room = MAX_NAMED
    for problem in found.problems:
        told.append(_told(problem))
        room -= len(json.dumps(told[-1]))
        if room < 0:
            break
    result = {**numbers, "problems": told, "errors": len(found.problems)}
    return notes.Outcome(json.dumps(result).encode(), ())


def _told(problem: Problem) -> dict[str, object]:
    touched = [
        {"snapshot": each.snapshot.hex(), "first": os.fsdecode(each.first), "last": os.fsdecode(each.last)}
        for each in problem.touched[:MAX_TOUCHED]
    ]
    return {"object": problem.object, "error": problem.text, "touches": touched}


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
        StoreError, KeyRefused, KeyBrokerSilent: some locks may be extended and others not.
    """
    if not isinstance(job.spec, ExtendSpec):
        raise WrongSpec("this job is not about locks")
    settings = process.settings.store
    store = open_pruner(job.spec.repo, settings, on_wait=reporter.waiting)
    keys = VaultKeys(process, job, store, send)
    reporter.keys = keys
    found = needed(store, job.vault, keys, reporter.alive)
    counts = {"extended": 0, "left": 0, "missing": 0}
    # A request or two for each object: side by side, as many as the store is read with.
    with ThreadPoolExecutor(settings.parallel, "extend") as pool:
        for start in range(0, len(found.names), EXTENDED_AT_ONCE):
            for outcome in pool.map(
                lambda name: _extend(store, name), found.names[start : start + EXTENDED_AT_ONCE]
            ):
                counts[outcome] += 1
            reporter.progress(0, start, 0)
    result = {**counts, "unreadable": len(found.unreadable)}
    reporter.report(report.DONE, outcome=notes.Outcome(json.dumps(result).encode(), ()))


def _extend(store: PruneStore, name: str) -> str:
    try:
        return "extended" if store.extend(name) else "left"
    except ObjectMissing:
        return "missing"
