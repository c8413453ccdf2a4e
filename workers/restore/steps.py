"""Planning a restore, and listing; plain functions of an admitted job."""

import json
import os
from collections.abc import Iterable

from config.queues import RESTORE_SEGMENT
from crypto import notes, report
from crypto.job import ListSpec, RestoreSpec
from crypto.parcel import ParcelTable
from repository.catalog import read_manifest
from repository.errors import RepositoryError
from repository.manifest import Entry, Snapshot
from repository.retention import admits
from sources.filesystem import metadata as files
from sources.s3 import metadata as objects
from sources.source import SourceError
from workers.reporting import Reporter
from workers.restore.choose import choose
from workers.restore.parcels import ParcelWriter
from workers.restore.session import RestoreSession, WrongSpec

LINES_PER_PARCEL = 10_000


def plan_restore(session: RestoreSession, reporter: Reporter) -> None:
    """Find the snapshot and wake a worker for each of its segments: see `RestoreSession.segments`.

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
    for number in range(count):
        session.send(RESTORE_SEGMENT, *session.job.texts(), snapshot.id.hex(), number)


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
    writer = ParcelWriter(session, reporter, 0)
    if not spec.snapshot:
        damaged: list[bytes] = []
        found = session.snapshots(lambda name, error: damaged.append(_damaged_line(name, error)))
        # One that cannot be opened may be meant: it is never left out.
        _deliver(writer, [*(_snapshot_line(each) for each in found if admits(spec.filter, each)), *damaged])
    else:
        _list_entries(session, reporter, writer)
    reporter.note(notes.SegmentDone(0, writer.sequence, ()))
    reporter.report(report.DONE, outcome=notes.Outcome(b"{}", ()))


def _list_entries(session: RestoreSession, reporter: Reporter, writer: ParcelWriter) -> None:
    snapshot = choose(session, reporter.alive)
    selection = session.selection()
    reporter.note(notes.Restoring(snapshot.id, 1, snapshot.time_ns))
    for ref in snapshot.manifests:
        if selection.overlaps(ref):
            manifest = read_manifest(session.store, session.vault, session.keys, ref)
            entries = (entry for entry in selection.entries(manifest.entries) if entry.part_offset == 0)
            _deliver(writer, [_entry_line(entry) for entry in entries])
            reporter.alive()


def _deliver(writer: ParcelWriter, lines: list[bytes]) -> None:
    for at in range(0, len(lines), LINES_PER_PARCEL):
        writer.deliver(ParcelTable((), (), b"\n".join(lines[at : at + LINES_PER_PARCEL])), ())


def _json(value: dict[str, object]) -> bytes:
    return json.dumps(value).encode()


def _paths(paths: Iterable[bytes]) -> list[str]:
    return [os.fsdecode(path) for path in paths]


def _snapshot_line(snapshot: Snapshot) -> bytes:
    return _json(
        {
            "id": snapshot.id.hex(),
            "time_ns": snapshot.time_ns,
            "hostname": snapshot.hostname,
            "paths": _paths(snapshot.paths),
            "tags": snapshot.tags,
            "files": snapshot.files,
            "dirs": snapshot.dirs,
            "bytes": snapshot.bytes,
            "errors": len(snapshot.errors),
        }
    )


def _damaged_line(name: str, error: RepositoryError) -> bytes:
    return _json({"id": name.rpartition("/")[2], "error": error.message})


_TYPES = {"f": "file", "d": "dir", "l": "symlink", "p": "fifo", "c": "chardev", "b": "dev"}


def _entry_line(entry: Entry) -> bytes:
    line: dict[str, object] = {
        "path": os.fsdecode(entry.path),
        "type": _TYPES[entry.kind],
        "size": entry.size,
    }
    try:
        line |= _object_facts(entry) if objects.is_object(entry.meta) else _file_facts(entry)
    except SourceError as error:
        line["error"] = error.message
    return _json(line)


def _file_facts(entry: Entry) -> dict[str, object]:
    meta = files.decode(entry.meta, entry.path)
    return {
        "mode": meta.mode,
        "uid": meta.uid,
        "gid": meta.gid,
        "user": meta.uname,
        "group": meta.gname,
        "mtime_ns": meta.mtime_ns,
        "target": os.fsdecode(meta.target),
    }


def _object_facts(entry: Entry) -> dict[str, object]:
    meta = objects.decode(entry.meta, entry.path)
    return {"mtime_ns": meta.modified_ms * 1_000_000, "object": objects.facts(meta)}
