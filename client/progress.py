"""The live line that a person watches; nothing at all when nobody does."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from crypto import notes

FILES: Final = "files"
OBJECTS: Final = "objects"


class Meter(Protocol):
    """Shows how far something is; `files` may be of another kind, such as objects."""

    def show(self, files: int, total_files: int, byte_count: int, total_bytes: int) -> None:
        """Update the display; totals of 0 are not known yet."""
        ...


class Silent:
    """Shows nothing."""

    def show(self, files: int, total_files: int, byte_count: int, total_bytes: int) -> None:
        """See Meter."""


@contextmanager
def silent() -> Iterator[Meter]:
    """No display."""
    yield Silent()


@contextmanager
def meter(what: str, *, wanted: bool, of: str = FILES) -> Iterator[Meter]:
    """A live line on standard error, if that is a terminal and it is wanted.

    It runs a thread: fork before.

    Args:
        of: what is counted beside bytes.
    """
    if not (wanted and sys.stderr.isatty()):
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[files]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None, files="")

        class Live:
            def show(self, files: int, total_files: int, byte_count: int, total_bytes: int) -> None:
                total = max(total_bytes, byte_count) or None
                text = f"{files}/{total_files} {of}" if total_files else f"{files} {of}"
                # Where there are no bytes to be read, the bar is about objects.
                done, everything = (
                    (byte_count, total) if total or of == FILES else (files, total_files or None)
                )
                progress.update(task, completed=done, total=everything, files=text)

        yield Live()


class Tally:
    """Adds up a backup's notes: the newest of each segment counts."""

    def __init__(self, shown_on: Meter) -> None:
        self._meter = shown_on
        self._planned = notes.Planned(0, 0, 0)
        self._segments: dict[int, notes.Progress] = {}

    def hear(self, note: notes.Note) -> None:
        """Take a note into account and show the sum."""
        if isinstance(note, notes.Planned):
            self._planned = note
        elif isinstance(note, notes.Progress):
            self._segments[note.segment] = note
        else:
            return
        self._meter.show(
            sum(each.files for each in self._segments.values()),
            self._planned.files,
            sum(each.byte_count for each in self._segments.values()),
            self._planned.byte_count,
        )
