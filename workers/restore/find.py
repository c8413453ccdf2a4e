"""Where paths occur over many snapshots. Snapshots share most of their manifests: each is read once.

What matches in a manifest is delivered once as well, in parcels; then, snapshot by snapshot, in which of their lines
its matches are. The command puts them together, and neither side holds all of them.
"""

import os
from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from crypto import notes, report
from crypto.job import FindSpec
from repository.errors import FormatError, ObjectMissing, RepositoryError
from repository.manifest import Entry, ManifestRef, Snapshot
from repository.remembered import ManifestReader, by_lineage, once_ahead
from sources.patterns import Patterns
from sources.source import SourceError
from sources.stored import file_meta
from workers.reporting import Reporter
from workers.restore.choose import admitted, named
from workers.restore.lines import LineWriter, Place, damaged_line, entry_line, json_line
from workers.restore.parcels import ParcelWriter
from workers.restore.select import Selection
from workers.restore.session import RestoreSession, WrongSpec

PLACES_PER_LINE: Final = 10_000
_GLOB: Final = frozenset("*?[\\")


def find(session: RestoreSession, reporter: Reporter) -> None:
    """Deliver every match, then for each snapshot, the newest first, where its matches are.

    Raises:
        NoSuchSnapshot, LatestUnknown, PatternError: the request cannot be fulfilled as it is.
        RepositoryError, KeyRefused, KeyBrokerSilent: a snapshot that is named, or the store, cannot be read.
    """
    spec = session.spec
    if not isinstance(spec, FindSpec):
        raise WrongSpec("this job is no search")
    session.prove_vault()
    session.open_delivery()
    damaged: list[bytes] = []
    snapshots = _snapshots(session, spec, damaged)
    matcher = Matcher(spec)
    refs = by_lineage(ref for each in snapshots for ref in each.manifests if matcher.overlaps(ref))
    lines = LineWriter(ParcelWriter(session, reporter, 0))
    places: dict[bytes, list[Place]] = {}
    with once_ahead(session.store, refs) as store:
        reader = ManifestReader(store, session.vault, session.keys)
        for ref in refs:
            places[ref.digest] = lines.place(_matches(reader, matcher, ref))
            reporter.alive()
    table = lines.flush()
    for snapshot in snapshots:
        for line in _table(snapshot, places):
            lines.add(line)
    for line in damaged:
        lines.add(line)
    reporter.note(notes.SegmentDone(0, lines.flush(), ()))
    outcome = json_line({"table": table, "manifests_read": len(refs)})
    reporter.report(report.DONE, outcome=notes.Outcome(outcome, ()))


class Matcher:
    """Which entries are wanted.

    Raises:
        PatternError: a pattern cannot be understood.
    """

    def __init__(self, spec: FindSpec) -> None:
        texts = [text.lower() for text in spec.patterns] if spec.ignore_case else spec.patterns
        self._patterns = Patterns.parse(texts)
        self._ignore_case = spec.ignore_case
        self._oldest_ns, self._newest_ns = spec.oldest_ns, spec.newest_ns
        self._reach = None if spec.ignore_case else _reach(spec.patterns)

    def overlaps(self, ref: ManifestRef) -> bool:
        """Whether a manifest can hold a match, by its first and last path."""
        return self._reach is None or any(below.overlaps(ref) for below in self._reach)

    def matches(self, entry: Entry) -> bool:
        """Whether an entry is wanted; a file in parts is where its first part is."""
        if entry.part_offset:
            return False
        path = entry.path
        if self._ignore_case:
            path = os.fsencode(os.fsdecode(path).lower())
        return self._patterns.matches(path) and self._is_of_the_time(entry)

    def _is_of_the_time(self, entry: Entry) -> bool:
        if self._oldest_ns is None and self._newest_ns is None:
            return True
        try:
            changed = file_meta(entry.meta, entry.path).mtime_ns
        except SourceError:
            return True  # its line says that its metadata cannot be read
        return (self._oldest_ns is None or changed >= self._oldest_ns) and (
            self._newest_ns is None or changed <= self._newest_ns
        )


def _reach(patterns: tuple[str, ...]) -> list[Selection] | None:
    """Below which paths alone something can match; None: anywhere."""
    plain = [pattern for pattern in patterns if not pattern.startswith("!")]
    if not all(pattern.startswith("/") for pattern in plain):
        return None
    return [Selection(os.fsencode(_fixed(pattern))) for pattern in plain]


def _fixed(pattern: str) -> str:
    """The path that all matches of a pattern from the root have in common."""
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    return "".join(f"/{name}" for name in takewhile(lambda name: not _GLOB & set(name), names))


def _snapshots(session: RestoreSession, spec: FindSpec, damaged: list[bytes]) -> list[Snapshot]:
    """What is searched, the newest first."""
    if spec.snapshots:
        chosen = {each.id: each for name in spec.snapshots for each in (named(session, name, spec.filter),)}
        return sorted(chosen.values(), key=lambda each: (each.time_ns, each.id), reverse=True)

    def remember(name: str, error: RepositoryError) -> None:
        damaged.append(damaged_line(name, error))

    found = session.snapshots(remember)
    return admitted(found, spec.filter)[::-1] if found or not damaged else []


def _matches(reader: ManifestReader, matcher: Matcher, ref: ManifestRef) -> Iterator[bytes]:
    try:
        manifest = reader.read(ref)
    except (FormatError, ObjectMissing) as error:
        yield json_line(
            {
                "path": os.fsdecode(ref.first),
                "lost": f"everything from here to {os.fsdecode(ref.last)} may match: {error.message}",
            }
        )
        return
    for entry in manifest.entries:
        if matcher.matches(entry):
            yield entry_line(entry)


def _table(snapshot: Snapshot, places: dict[bytes, list[Place]]) -> Iterator[bytes]:
    found = [place for ref in snapshot.manifests for place in places.get(ref.digest, ())]
    for at in range(0, max(len(found), 1), PLACES_PER_LINE):
        yield json_line(
            {
                "id": snapshot.id.hex(),
                "time_ns": snapshot.time_ns,
                "hostname": snapshot.hostname,
                "places": found[at : at + PLACES_PER_LINE],
            }
        )
