"""How far a long look is, and names that come in order from two sides."""

import random

from repository.walk import Far, Walk, common


def test_names_in_common() -> None:
    dice = random.Random(6)
    some = sorted({f"n{dice.randrange(500):03d}" for _ in range(200)})
    others = sorted({f"n{dice.randrange(500):03d}" for _ in range(200)})
    assert list(common(some, iter(others))) == sorted(set(some) & set(others))
    assert list(common([], iter(others))) == list(common(some, iter([]))) == []


def test_a_walk_never_goes_back_and_a_total_is_never_too_small() -> None:
    told: list[Far] = []
    walk = Walk(told.append)
    walk.expect(1, 10)
    walk.did(2, 20)
    walk.expect(3)
    walk.alive()
    assert told == [Far(2, 2, 20, 20), Far(2, 4, 20, 20)]
    list(walk.through(range(10_000)))
    assert len(told) == 2 + 3
