"""A restore's session: which snapshot a text means, and where a worker delivers to."""

import shutil
from pathlib import Path

import msgspec
import pytest

from crypto import job
from repository.catalog import write_snapshot
from repository.layout import snapshot_name
from repository.manifest import Snapshot
from repository.prunes import write_void
from tests.workers.restore.conftest import Reading
from workers.restore.session import ForeignDelivery, NoSuchSnapshot, WrongSpec

ONE, OTHER = "ab" * 16, "abcd" + "ef" * 14


def committed(reading: Reading, *names: str) -> list[Snapshot]:
    """Snapshots of these ids, beside one of another."""
    repo = reading.repo
    whole = repo.backup({b"/a": b"data"})
    made = [msgspec.structs.replace(whole, id=bytes.fromhex(name)) for name in names]
    for each in made:
        write_snapshot(repo.store, repo.vault, repo.keys, 1, each)
    return made


@pytest.fixture
def two(reading: Reading) -> list[Snapshot]:
    """Two snapshots whose ids begin alike."""
    return committed(reading, ONE, OTHER)


@pytest.mark.parametrize(("wanted", "expected"), [(ONE, 0), (OTHER, 1), (ONE[:8], 0), (OTHER[:4], 1)])
def test_an_id_or_an_unambiguous_beginning_of_one(
    reading: Reading, two: list[Snapshot], wanted: str, expected: int
) -> None:
    assert reading.session(reading.restore()).snapshot(wanted) == two[expected]


@pytest.mark.parametrize("wanted", ["ab", "abc", "", "ffff", "ABAB", "cd" * 16, ONE + "00"])
def test_anything_else_names_none(reading: Reading, two: list[Snapshot], wanted: str) -> None:
    with pytest.raises(NoSuchSnapshot, match="no snapshot") as refused:
        reading.session(reading.restore()).snapshot(wanted)
    assert "strongroom snapshots" in refused.value.remedy


@pytest.mark.parametrize("wanted", [ONE, ONE[:8]])
def test_what_was_forgotten_and_pruned_is_no_snapshot_and_no_backup_is_at_fault(
    reading: Reading, wanted: str
) -> None:
    repo = reading.repo
    repo.backup({b"/a": b"data"})
    write_void(repo.store, repo.vault, repo.keys, 1, bytes.fromhex(ONE), 1)
    session = reading.session(reading.restore())
    said = (
        f"no snapshot of this vault has an id that begins with {wanted}: it was forgotten, or never committed"
    )
    with pytest.raises(NoSuchSnapshot, match=said) as refused:
        session.snapshot(wanted)
    assert "strongroom snapshots" in refused.value.remedy
    assert "back up" not in refused.value.remedy


def test_a_beginning_of_two_names_none(reading: Reading) -> None:
    committed(reading, "abcd" + "00" * 14, "abcd" + "11" * 14)
    with pytest.raises(NoSuchSnapshot, match="2 snapshots"):
        reading.session(reading.restore()).snapshot("abcd")


@pytest.mark.parametrize(
    "area",
    ["file:///tmp", "file:///", "s3://bucket/prefix", "s3://bucket/prefix?lock=governance&retention=1d"],
)
def test_no_other_place_is_delivered_to(reading: Reading, area: str) -> None:
    with pytest.raises(ForeignDelivery) as refused:
        reading.session(reading.restore(area=area))
    assert "config.toml" in refused.value.remedy


def test_a_job_of_another_kind_reads_nothing(reading: Reading) -> None:
    check = job.CheckSpec(reading.repo.folder.as_uri(), reading.requester, False)
    with pytest.raises(WrongSpec):
        reading.session(check)


def test_a_place_that_the_requester_removed_is_wanted_no_more(reading: Reading) -> None:
    session = reading.session(reading.restore())
    assert not session.is_wanted()
    session.open_delivery()
    session.open_delivery()
    assert session.is_wanted()
    place = reading.home.delivery / session.job.id.hex()
    assert place.stat().st_mode & 0o777 == 0o700
    place.rmdir()
    assert not session.is_wanted()


def test_a_delivery_area_that_is_gone_is_told(reading: Reading) -> None:
    session = reading.session(reading.restore())
    shutil.rmtree(reading.home.delivery)
    with pytest.raises(ForeignDelivery) as refused:
        session.open_delivery()
    assert refused.value.remedy


def test_the_segments_are_the_manifests_that_can_hold_the_path(reading: Reading) -> None:
    repo = reading.repo
    first, second = (
        repo.backup({path: b"x"}, number).manifests[0] for number, path in ((1, b"/a/x"), (2, b"/b/x"))
    )
    both = repo.commit([first, second], 3)
    for path, expected in ((b"", [first, second]), (b"/a", [first]), (b"/b/x", [second]), (b"/c", [])):
        assert reading.session(reading.restore(path=path)).segments(both) == expected


def test_what_is_planned_is_read_once_for_a_job_and_anew_for_the_next(
    reading: Reading, two: list[Snapshot], tmp_path: Path
) -> None:
    session = reading.session(reading.restore())
    planned = session.planned(ONE)
    assert (planned.snapshot, planned.refs) == (two[0], two[0].manifests)
    reading.repo.store.delete(snapshot_name(two[0].id))
    assert session.planned(ONE) is planned
    with pytest.raises(NoSuchSnapshot):
        reading.session(reading.restore()).planned(ONE)
