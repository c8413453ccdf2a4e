"""The difference between two snapshots, as JSON lines in path order and a summary."""

import os
from collections.abc import Iterator
from dataclasses import asdict

from crypto import notes, report
from crypto.job import DiffSpec
from repository.manifest import Entry, Manifest, ManifestRef, Snapshot
from repository.remembered import ManifestReader, once_ahead
from repository.rules import path_key
from workers.reporting import Reporter
from workers.restore.choose import NoSuchPath, holds, named
from workers.restore.compare import Change, Side, Summary, apart, changes
from workers.restore.lines import TYPES, LineWriter, json_line
from workers.restore.parcels import ParcelWriter
from workers.restore.session import RestoreSession, WrongSpec


def diff(session: RestoreSession, reporter: Reporter) -> None:
    """Deliver what differs from the first snapshot to the second.

    Raises:
        NoSuchSnapshot, LatestUnknown, NoSuchPath: the request cannot be fulfilled as it is.
        RepositoryError, KeyRefused, KeyBrokerSilent: something that has to be compared cannot be read.
    """
    spec = session.spec
    if not isinstance(spec, DiffSpec):
        raise WrongSpec("this job is no comparison")
    session.prove_vault()
    session.open_delivery()
    first, second = named(session, spec.first), named(session, spec.second)
    lines = LineWriter(ParcelWriter(session, reporter, 0))
    summary = Summary()
    comparison = _Comparison(session, reporter, first, second)
    for change in comparison.changes():
        summary.add(change)
        if change.sign != "U" or spec.metadata:
            lines.add(_line(change))
    if not comparison.seen and not any(holds(session, each, spec.path, set()) for each in (first, second)):
        raise NoSuchPath(
            f"{os.fsdecode(spec.path)!r} is in neither snapshot",
            remedy="see what is there with `strongroom ls`",
        )
    reporter.note(notes.SegmentDone(0, lines.flush(), ()))
    told = {
        "first": first.id.hex(),
        "second": second.id.hex(),
        "manifests": len(first.manifests) + len(second.manifests),
        "manifests_read": comparison.read_count,
        "changed_files": summary.changed,
        "type_changes": summary.retyped,
        "metadata_changes": summary.metadata,
        "added": asdict(summary.added),
        "removed": asdict(summary.removed),
    }
    reporter.report(report.DONE, outcome=notes.Outcome(json_line(told), ()))


class _Comparison:
    """Reads what is not shared, and what is wanted of it. `seen`: whether there was anything."""

    def __init__(
        self, session: RestoreSession, reporter: Reporter, first: Snapshot, second: Snapshot
    ) -> None:
        self._session, self._reporter = session, reporter
        self._selection = session.selection()
        self._first, self._second = (
            [ref for ref in refs if self._selection.overlaps(ref)] for refs in apart(first, second)
        )
        self.seen = False
        self.read_count = 0

    def changes(self) -> Iterator[Change]:
        both = sorted((*self._first, *self._second), key=lambda ref: path_key(ref.first))
        session = self._session
        with once_ahead(session.store, both) as store:
            reader = ManifestReader(store, session.vault, session.keys)

            def read(ref: ManifestRef) -> Manifest:
                self.read_count += 1
                self._reporter.alive()
                return self._wanted(reader.read(ref))

            yield from changes(Side(self._first, read), Side(self._second, read))

    def _wanted(self, manifest: Manifest) -> Manifest:
        if self._selection.everything:
            self.seen = True
            return manifest
        entries = list(self._selection.entries(manifest.entries))
        self.seen |= bool(entries)
        return Manifest(entries, manifest.chunk_ids, manifest.chunk_lengths)


def _line(change: Change) -> bytes:
    entry: Entry | None = change.new or change.old
    line: dict[str, object] = {"path": os.fsdecode(change.path), "modifier": change.sign}
    if entry is not None:
        line["type"] = TYPES[entry.kind]
        if entry.kind == "f":
            line["size"] = entry.size
    return json_line(line)
