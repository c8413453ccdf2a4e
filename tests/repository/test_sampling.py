"""Which packs are drawn: of those that are there, as many as asked, and each part always the same ones."""

import random

import pytest

from crypto.job import MILLIONTHS, Subset
from repository.census import CHOSEN, MISSING, REPEATED, PackTable
from repository.manifest import PackSummary
from repository.sampling import choose

SIZE = 1000


def table(count: int, absent: int = 0) -> PackTable:
    """Some packs that are there, and behind each some mark that says of another that it is not."""
    dice = random.Random(3)
    packs = PackTable()
    for _ in range(count):
        packs.add(PackSummary(dice.randbytes(16), 1, SIZE, b""))
    for number in range(absent):
        packs.marks[packs.add(PackSummary(dice.randbytes(16), 1, SIZE, b""))] = (MISSING, REPEATED)[
            number % 2
        ]
    return packs


def chosen(packs: PackTable) -> set[int]:
    return {number for number, mark in enumerate(packs.marks) if mark & CHOSEN}


@pytest.mark.parametrize(
    ("subset", "count"),
    [
        (None, 40),
        (Subset(share=MILLIONTHS), 40),
        (Subset(share=MILLIONTHS // 4), 10),
        (Subset(share=1), 1),
        (Subset(size=1), 1),
        (Subset(size=7 * SIZE), 7),
        (Subset(size=1 << 60), 40),
    ],
)
def test_as_many_are_marked_as_are_asked_for(subset: Subset | None, count: int) -> None:
    packs = table(40, absent=20)
    assert choose(packs, subset) == (count, count * SIZE)
    assert len(chosen(packs)) == count
    assert max(chosen(packs)) < 40, "a pack that is gone or named twice is not read"


def test_the_parts_are_apart_and_together_all() -> None:
    seen: set[int] = set()
    for part in (1, 2, 3):
        packs, again = table(60), table(60)
        count, _ = choose(packs, Subset(part=part, parts=3))
        choose(again, Subset(part=part, parts=3))
        assert 0 < count < 60
        assert chosen(packs) == chosen(again)
        assert not seen & chosen(packs)
        seen |= chosen(packs)
    assert seen == set(range(60))


def test_a_pack_stays_in_its_part_whatever_else_is_stored() -> None:
    few, many = table(30), table(60)
    for packs in (few, many):
        choose(packs, Subset(part=2, parts=4))
    assert chosen(few) == {number for number in chosen(many) if number < 30}


def test_of_no_packs_none_is_drawn() -> None:
    for subset in (None, Subset(share=1), Subset(size=1), Subset(part=1, parts=2)):
        assert choose(table(0, absent=4), subset) == (0, 0)
