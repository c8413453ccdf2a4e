"""Where a restore writes: what the restore, its opener processes and its last steps need of that place."""

import os
from pathlib import Path
from typing import Protocol

from client.restore.assembler import Assembler
from client.restore.finish import Finisher, landing
from client.restore.messages import SegmentReport
from client.restore.staging import Staging
from crypto.parcel import OpenParcel


class Assembling(Protocol):
    """Writes what is in parcel after parcel, in one opener process."""

    def take(self, segment: int, parcel: OpenParcel) -> tuple[int, int]:
        """Write all that a parcel holds; what cannot be written is remembered for `end_segment`.

        Returns:
            How many files it completed, and how many bytes of content it wrote.
        """
        ...

    def end_segment(self, segment: int) -> SegmentReport:
        """What the segment came to."""
        ...

    def close(self) -> None:
        """Remove what is unfinished."""
        ...


class Target(Protocol):
    """A place that was found fit to restore into, before the stack is asked for anything."""

    def assembler(self, strip: bytes) -> Assembling:
        """Called once in each opener process. `strip`: the path that the person asked for."""
        ...

    def finish(self, finisher: Finisher) -> int:
        """Put everything in place when all segments are written; returns how many files in parts are complete."""
        ...

    def holds(self, path: bytes, strip: bytes) -> bool:
        """Whether something is where a path of the snapshot lands."""
        ...

    def remove(self) -> None:
        """Give up: remove what is not in place."""
        ...


class FolderTarget:
    """A folder, missing or empty.

    Raises:
        TargetNotEmpty, TargetUnusable: see `sources.filesystem.target.prepare_target`.
    """

    def __init__(self, target: Path) -> None:
        self._staging = Staging(target)

    def assembler(self, strip: bytes) -> Assembler:
        """See Target."""
        return Assembler(self._staging.folder, strip)

    def finish(self, finisher: Finisher) -> int:
        """See Target."""
        return finisher.finish(self._staging)

    def holds(self, path: bytes, strip: bytes) -> bool:
        """See Target."""
        return os.path.lexists(landing(self._staging.target, strip, path))

    def remove(self) -> None:
        """See Target."""
        self._staging.remove()
