"""Listings: a small restore that delivers JSON lines in place of files."""

import json
import os
from collections.abc import Callable, Iterator

from client.answer import Line, ListingDamaged, OnSnapshot, answered, untold
from client.job import Job
from client.session import Session
from crypto import job as jobs
from crypto.registry import VaultEntry


def list_snapshots(session: Session, vault: VaultEntry, wanted: jobs.SnapshotFilter = jobs.ANY) -> list[Line]:
    """The vault's snapshots that are wanted, oldest first, and those that cannot be opened.

    Raises:
        JobFailed and others: see `client.job`. ListingDamaged: it did not arrive whole.
    """
    return list(_listing(session, vault, "", b"", wanted))


def list_entries(
    session: Session,
    vault: VaultEntry,
    snapshot: str,
    path: bytes,
    wanted: jobs.SnapshotFilter = jobs.ANY,
    on_snapshot: OnSnapshot = untold,
) -> Iterator[Line]:
    """The entries of a snapshot at and below `path` (all for b""), in path order.

    Args:
        session: connected.
        vault: whose.
        snapshot: an id, a prefix of one, or `latest`.
        path: absolute.
        wanted: among which snapshots `latest` is looked for.
        on_snapshot: told which snapshot it is.

    Raises:
        JobFailed and others: see `client.job`. ListingDamaged: it did not arrive whole.
    """
    return _listing(session, vault, snapshot, path, wanted, on_snapshot)


def path_of(entry: Line) -> bytes:
    """An entry's path, as the bytes that it is."""
    return os.fsencode(entry["path"])


def _listing(
    session: Session,
    vault: VaultEntry,
    snapshot: str,
    path: bytes,
    wanted: jobs.SnapshotFilter,
    on_snapshot: OnSnapshot = untold,
) -> Iterator[Line]:
    def make_spec(requester: bytes, area: str) -> jobs.Spec:
        return jobs.ListSpec(vault.repo, requester, snapshot, path, area, wanted)

    with answered(session, jobs.LIST, vault, make_spec, on_snapshot) as answer:
        yield from answer.lines()


def ask(session: Session, about: str) -> list[Line]:
    """What the scheduler knows about `schedules` or `jobs`.

    Raises:
        JobFailed and others: see `client.job`. ListingDamaged: the answer is not a list of objects.
    """
    nobody: Callable[[bytes], jobs.Spec] = lambda requester: jobs.AskSpec("", requester, about)  # noqa: E731
    finished = Job(session, jobs.ASK, bytes(16), nobody).run()
    try:
        answer = json.loads(finished.json)
    except ValueError as error:
        raise ListingDamaged("the scheduler's answer is not JSON", remedy="use the same release") from error
    if not isinstance(answer, list) or not all(isinstance(line, dict) for line in answer):
        raise ListingDamaged("the scheduler's answer is not a list", remedy="use the same release")
    return answer
