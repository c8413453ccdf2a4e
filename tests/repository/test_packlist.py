"""The packs of a store by number."""

import random

import pytest

from repository.errors import ObjectDamaged
from repository.packlist import GOING, NAMED, PackList
from tests.repository.test_index import chunk, summary


def test_each_pack_is_found_and_no_other() -> None:
    dice = random.Random(1)
    ids = sorted(dice.randbytes(16) for _ in range(300))
    packs = PackList()
    assert packs.number_of(ids[0]) == -1
    for pack_id in ids[::2]:
        packs.add(pack_id)
    assert [packs.number_of(pack_id) for pack_id in ids[::2]] == list(range(150))
    assert {packs.number_of(pack_id) for pack_id in ids[1::2]} == {-1}
    assert [packs[number] for number in range(len(packs))] == ids[::2]


@pytest.mark.parametrize("second", [1, 2])
def test_a_listing_that_is_out_of_order_is_refused(second: int) -> None:
    packs = PackList()
    packs.add((2).to_bytes(16, "big"))
    with pytest.raises(ObjectDamaged):
        packs.add(second.to_bytes(16, "big"))


def test_the_first_who_names_a_pack_counts() -> None:
    packs = PackList()
    pack, other = summary(1, [chunk(1), chunk(2)]), summary(1, [chunk(3)])
    packs.add(pack.id, GOING)
    assert packs.name(0, pack)
    assert not packs.name(0, other)
    assert (packs.flags[0], packs.sizes[0], packs.totals[0], packs.used[0]) == (
        NAMED | GOING,
        pack.size,
        2 * 82,
        0,
    )
