"""Names and ids, both ways."""

import pytest

from repository import layout
from repository.errors import InvalidName, ObjectDamaged
from repository.store import check_name


def test_every_name_is_one_that_stores_take() -> None:
    job, segment = b"\xab" * 16, layout.segment_id(b"\xcd" * 16, 7, 3)
    names = [
        layout.CONFIG,
        layout.CHUNK_ID_KEY,
        layout.dek_name(12),
        layout.pack_name(job),
        layout.index_name(segment),
        layout.manifest_name(segment),
        layout.snapshot_name(job),
        layout.plan_name(job),
        layout.work_name(job, 7, 3),
        layout.done_name(job, 7, 3),
        layout.result_name(job),
    ]
    for name in names:
        check_name(name)
    assert len(set(names)) == len(names)


def test_names_as_the_format_has_them() -> None:
    assert layout.dek_name(12) == "keys/dek-00000012"
    assert layout.pack_name(b"\xab" * 16) == "packs/ab/" + "ab" * 16
    assert (
        layout.manifest_name(layout.segment_id(b"\1" * 16, 2, 3))
        == "manifests/" + "01" * 16 + "0000000200000003"
    )
    assert layout.done_name(b"\1" * 16, 2, 3) == "jobs/" + "01" * 16 + "/done-2-3"


def test_ids_come_back_out_of_names() -> None:
    segment = layout.segment_id(b"\1" * 16, 2, 3)
    assert layout.id_of(layout.manifest_name(segment)) == segment
    assert layout.parts_of(segment) == (b"\1" * 16, 2, 3)
    assert layout.epoch_of(layout.dek_name(99_999_999)) == 99_999_999


@pytest.mark.parametrize(
    "name", ["packs/aa/zz", "packs/aa/aabb", "index/" + "AB" * 16, "packs/", "packs/aa/" + "ab " * 16]
)
def test_stray_names_have_no_id(name: str) -> None:
    with pytest.raises(ObjectDamaged):
        layout.id_of(name)


@pytest.mark.parametrize(
    "name", ["keys/chunk-id", "keys/dek-1", "keys/dek-00000000", "keys/dek-0000000a", "x"]
)
def test_other_keys_have_no_epoch(name: str) -> None:
    assert layout.epoch_of(name) is None


def test_ids_and_numbers_out_of_range_are_refused() -> None:
    for call in (
        lambda: layout.pack_name(b"short"),
        lambda: layout.snapshot_name(b"x" * 24),
        lambda: layout.index_name(b"x" * 16),
        lambda: layout.parts_of(b"x" * 16),
        lambda: layout.dek_name(0),
        lambda: layout.dek_name(100_000_000),
        lambda: layout.segment_id(b"x" * 16, 0, 1),
        lambda: layout.segment_id(b"x" * 16, 1, 1 << 32),
        lambda: layout.segment_id(b"x", 1, 1),
    ):
        with pytest.raises(InvalidName):
            call()
