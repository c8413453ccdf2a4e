"""How much to measure with, in full and in quick."""

from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True)
class Sizes:
    """Amounts.

    Attributes:
        files, tree_bytes: of the tree; both are reached.
        random: incompressible bytes in the big data.
        many, few: files of the two synthetic trees.
        releases: of the series.
        probe_mb: megabytes for each of the machine's limits.
    """

    files: int
    tree_bytes: int
    random: int
    many: int
    few: int
    releases: int
    probe_mb: int


FULL = Sizes(
    files=50_000,
    tree_bytes=800 * MB,
    random=1 << 30,
    many=1_000_000,
    few=50_000,
    releases=10,
    probe_mb=256,
)
QUICK = Sizes(
    files=4_000,
    tree_bytes=50 * MB,
    random=128 << 20,
    many=20_000,
    few=5_000,
    releases=3,
    probe_mb=32,
)
