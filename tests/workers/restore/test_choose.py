import pytest

from crypto.job import SnapshotFilter
from repository.manifest import Snapshot
from repository.retention import admits

SNAPSHOT = Snapshot(
    b"s" * 16, 1, "web1", [b"/etc", b"/srv/www"], [], ["daily", "small"], b"", [], 0, 0, 0, []
)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (SnapshotFilter(), True),
        (SnapshotFilter(hosts=("web2", "web1")), True),
        (SnapshotFilter(hosts=("web",)), False),
        (SnapshotFilter(tags=(("daily",),)), True),
        (SnapshotFilter(tags=(("daily", "small"),)), True),
        (SnapshotFilter(tags=(("daily", "large"),)), False),
        (SnapshotFilter(tags=(("daily", "large"), ("small",))), True),
        (SnapshotFilter(paths=(b"/etc",)), True),
        (SnapshotFilter(paths=(b"/srv/www", b"/etc")), True),
        (SnapshotFilter(paths=(b"/etc", b"/srv")), False),
        (SnapshotFilter(hosts=("web1",), tags=(("none",),), paths=(b"/etc",)), False),
    ],
)
def test_a_filter_lets_through_what_restic_would(wanted: SnapshotFilter, expected: bool):
    assert admits(wanted, SNAPSHOT) is expected
