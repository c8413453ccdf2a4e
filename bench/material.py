"""The data, made when a case first asks for it and kept for the next one."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.data import Dataset, make_big, make_tree
from bench.sizes import MB, Sizes


class Material:
    """Data below a folder of its own.

    Args:
        folder: does not exist yet, or is empty.
        sizes: how much.
        sources: folders to take the tree's files from.
        say: told what was made.
    """

    def __init__(
        self, folder: Path, sizes: Sizes, sources: Sequence[Path], say: Callable[[str], None]
    ) -> None:
        self.folder, self.sizes = folder, sizes
        self._sources, self._say = sources, say
        self._made: dict[str, Dataset] = {}

    def tree(self) -> Dataset:
        """Many small real files.

        Raises:
            BenchError: the sources hold no small file.
        """
        if "tree" not in self._made:
            self._keep(make_tree(self.folder / "tree", self._sources, self.sizes))
        return self._made["tree"]

    def big(self) -> Dataset:
        """A file of random bytes, a tar of the tree, and a small file.

        Raises:
            BenchError: as `tree`.
        """
        if "big" not in self._made:
            self._keep(make_big(self.folder / "big", self.tree().folder, self.sizes))
        return self._made["big"]

    def made(self) -> list[Dataset]:
        """What was asked for so far."""
        return list(self._made.values())

    def drop(self) -> None:
        """Remove all of it, to make room; what is asked for again is made again."""
        self._made.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, made: Dataset) -> None:
        self._made[made.name] = made
        self._say(f"{made.name}: {describe(made)}")


def describe(data: Dataset) -> str:
    """How much there is of it."""
    salted = f", of them {data.salted:,} altered copies" if data.salted else ""
    return f"{data.files:,} files{salted}, {data.bytes / MB:,.0f} MB"
