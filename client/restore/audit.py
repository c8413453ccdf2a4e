"""Which paths a restore should have delivered and did not: the snapshot's listing against the target."""

from client.listing import list_entries, path_of
from client.restore.target import Target
from client.restore.wanted import Wanted
from client.session import Session
from sources.patterns import Patterns


def name_missing(session: Session, wanted: Wanted, target: Target) -> list[bytes]:
    """Every path that was asked for and is not in `target`, in path order.

    Raises:
        JobFailed and others: the snapshot cannot be listed.
    """
    includes, excludes = Patterns.parse(wanted.includes), Patterns.parse(wanted.excludes)
    missing = []
    for entry in list_entries(session, wanted.vault, wanted.snapshot, wanted.path, wanted.filter):
        path = path_of(entry)
        if (includes and not includes.matches(path)) or excludes.matches(path):
            continue
        if not target.holds(path, wanted.path):
            missing.append(path)
    return missing
