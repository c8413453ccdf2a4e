"""What is decoded from the store is exactly one of our structs, or nothing."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical
from crypto.errors import Malformed
from repository.manifest import WHOLE, Doomed, Plan, VaultConfig, WorkItem

IDS = st.binary(min_size=16, max_size=16)
ITEMS = st.builds(
    WorkItem,
    path=st.binary(min_size=2, max_size=40).map(lambda part: b"/" + part),
    kind=st.sampled_from(["f", "d", "l"]),
    size=st.integers(0, (1 << 63) - 1),
    stamp=st.binary(max_size=256),
    part_offset=st.integers(0, (1 << 63) - 1),
    part_length=st.integers(WHOLE, (1 << 63) - 1),
)


@given(item=ITEMS)
def test_a_path_to_describe_comes_back(item: WorkItem) -> None:
    assert canonical.decode(WorkItem, canonical.encode(item)) == item


def encoded(fields: list[object]) -> bytes:
    return msgspec.msgpack.encode(fields)


ITEM: list[object] = [b"/a", "f", 1, b"stamp", 0, 1]
CONFIG: list[object] = [1, 1 << 18, 1 << 20, 1 << 22, 0]
PLAN: list[object] = [1, 1, 0, 0, b"", [], [], []]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (WorkItem, [*ITEM, 0]),
        (WorkItem, [b"/a", "f", 1]),
        (WorkItem, [b"/a", "x", 1, b"stamp"]),
        (WorkItem, ["/a", "f", 1, b"stamp"]),
        (WorkItem, [b"/a", "f", -1, b"stamp"]),
        (WorkItem, [b"/a", "f", 1.0, b"stamp"]),
        (WorkItem, [b"/a", "f", 1, bytes(257)]),
        (WorkItem, [b"/a", "f", 1, b"stamp", 0, WHOLE - 1]),
        (VaultConfig, [*CONFIG, 0]),
        (VaultConfig, [True, *CONFIG[1:]]),
        (Plan, [0, *PLAN[1:]]),
        (Plan, [1, 0, *PLAN[2:]]),
        (Plan, [1 << 32, *PLAN[1:]]),
        (Plan, [*PLAN[:4], bytes(17), *PLAN[5:]]),
        (Doomed, [0, None, b""]),
        (Doomed, {"time_ms": 0, "packs": b"", "manifests": b""}),
    ],
)
def test_another_form_is_refused(kind: type[msgspec.Struct], fields: list[object]) -> None:
    with pytest.raises(Malformed):
        canonical.decode(kind, encoded(fields))


@pytest.mark.parametrize(("kind", "fields"), [(WorkItem, ITEM), (VaultConfig, CONFIG), (Plan, PLAN)])
def test_what_the_refused_forms_were_made_of_is_lawful(
    kind: type[msgspec.Struct], fields: list[object]
) -> None:
    assert canonical.decode(kind, encoded(fields)) is not None
