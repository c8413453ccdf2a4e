"""The staging folder: a restore is written in a hidden folder of its target and then moved into place.

The command may be killed at any instant: until everything in the folder is verified and complete, no file is under
its own name. Moving costs one rename for each thing at the top, however much lies below.
"""

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from config.home import OWNER_ONLY_DIR
from sources.filesystem.target import prepare_target
from sources.source import Note, TargetUnusable, Unwritable, reason, without_path

PREFIX: Final = ".strongroom-unfinished-"


class Staging:
    """A staging folder in `target`, which is empty or made now.

    Raises:
        TargetNotEmpty, TargetUnusable: see `sources.filesystem.target.prepare_target`.
    """

    def __init__(self, target: Path) -> None:
        prepare_target(target)
        self.target = target
        self.folder = target / f"{PREFIX}{secrets.token_hex(8)}"
        try:
            self.folder.mkdir(OWNER_ONLY_DIR)
        except OSError as error:
            raise TargetUnusable(
                os.fsencode(target),
                f"cannot restore into {str(target)!r}: {reason(error)}",
                remedy="choose a directory that you may write",
            ) from error

    def promote(self) -> list[Note]:
        """Move everything into the target. What somebody has put there meanwhile is not overwritten.

        Returns:
            The things that stay in the staging folder, as `/name` and why.
        """
        kept: list[Note] = []
        for name in self._names():
            source, final = (
                os.path.join(os.fsencode(self.folder), name),
                os.path.join(os.fsencode(self.target), name),
            )
            try:
                if os.path.lexists(final):
                    raise Unwritable(b"/" + name, "something else has taken its place meanwhile")
                os.rename(source, final)
            except Unwritable as error:
                kept.append((b"/" + name, error.message))
            except OSError as error:
                kept.append((b"/" + name, f"cannot be moved into place: {reason(without_path(error))}"))
        if not kept:
            self.remove()
        return kept

    def remove(self) -> None:
        """Remove the staging folder and what is still in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _names(self) -> Iterable[bytes]:
        with os.scandir(os.fsencode(self.folder)) as entries:
            return sorted(entry.name for entry in entries)
