"""Planning a restore, and listing; plain functions of an admitted job."""

from crypto import notes, report
from crypto.job import ListSpec, RestoreSpec
from repository.catalog import read_manifest
from repository.retention import admits
from workers.reporting import Reporter
from workers.restore.choose import choose
from workers.restore.lines import LineWriter, damaged_line, entry_line, snapshot_line
from workers.restore.parcels import ParcelWriter
from workers.restore.session import RestoreSession, WrongSpec


def plan_restore(session: RestoreSession, reporter: Reporter) -> None:
    """Find the snapshot and wake a worker for each of its segments: see `RestoreSession.segments`.

    In order, only the first is woken; whoever delivers a segment wakes the next.

    Raises:
        NoSuchSnapshot, NoSuchPath, LatestUnknown, PatternError: the request cannot be fulfilled as it is.
        RepositoryError, KeyRefused, KeyBrokerSilent: the snapshot cannot be opened.
    """
    if not isinstance(session.spec, RestoreSpec):
        raise WrongSpec("this job is no restore")
    session.prove_vault()
    session.open_delivery()
    snapshot = choose(session, reporter.alive)
    count = len(session.segments(snapshot))
    whole = session.selection().everything
    reporter.note(notes.Restoring(snapshot.id, count, snapshot.time_ns))
    reporter.note(notes.Planned(count, snapshot.files if whole else 0, snapshot.bytes if whole else 0))
    # The scheduler must know the number of segments before it hears of the first.
    reporter.report(report.PLANNED, segments=count)
    for number in range(min(count, 1) if session.spec.in_order else count):
        session.wake_segment(snapshot.id, number)


def list_snapshot(session: RestoreSession, reporter: Reporter) -> None:
    """Deliver the vault's snapshots that the filter lets through, or the entries of one, as JSON lines.

    Raises:
        NoSuchSnapshot, NoSuchPath: there is no such snapshot, or nothing of that path in it.
        RepositoryError, KeyRefused, KeyBrokerSilent: something that would be listed cannot be opened.
    """
    spec = session.spec
    if not isinstance(spec, ListSpec):
        raise WrongSpec("this job is no listing")
    session.prove_vault()
    session.open_delivery()
    lines = LineWriter(ParcelWriter(session, reporter, 0))
    if not spec.snapshot:
        damaged: list[bytes] = []
        found = session.snapshots(lambda name, error: damaged.append(damaged_line(name, error)))
        # One that cannot be opened may be meant: it is never left out.
        for line in (*(snapshot_line(each) for each in found if admits(spec.filter, each)), *damaged):
            lines.add(line)
    else:
        _list_entries(session, reporter, lines)
    reporter.note(notes.SegmentDone(0, lines.flush(), ()))
    reporter.report(report.DONE, outcome=notes.Outcome(b"{}", ()))


def _list_entries(session: RestoreSession, reporter: Reporter, lines: LineWriter) -> None:
    snapshot = choose(session, reporter.alive)
    selection = session.selection()
    reporter.note(notes.Restoring(snapshot.id, 1, snapshot.time_ns))
    for ref in snapshot.manifests:
        if selection.overlaps(ref):
            manifest = read_manifest(session.store, session.vault, session.keys, ref)
            for entry in selection.entries(manifest.entries):
                if entry.part_offset == 0:
                    lines.add(entry_line(entry))
            reporter.alive()
