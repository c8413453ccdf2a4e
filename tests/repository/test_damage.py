"""What is wrong with a chunk, by where else it is, and what of it is named."""

import random
from typing import TYPE_CHECKING

import pytest

from repository import damage as module
from repository.census import MISSING, OTHER_SIZE, Chunk, PackTable
from repository.check import STRUCTURE, check
from repository.damage import DOES_NOT_OPEN, NO_PACK, OTHER_LENGTH, TEXTS, Damage
from repository.findings import Findings
from repository.layout import pack_name
from repository.manifest import Entry, Manifest, PackSummary
from repository.rules import describe

if TYPE_CHECKING:
    from tests.repository.conftest import Repo

CHUNK = b"c" * 32
GOOD, GONE, SHORT = 0, 1, 2
"""Numbers of packs."""
ABSENT = "the pack is missing"
CUT = "the pack has 7 bytes, but the index says 16384"
KEY = 5


def of_three_packs() -> Damage:
    packs = PackTable()
    for number in (GOOD, GONE, SHORT):
        packs.add(PackSummary(bytes([number]) * 16, 1, 16384, b""))
    packs.marks[GONE] |= MISSING
    packs.marks[SHORT] |= OTHER_SIZE
    damage = Damage(packs, Findings())
    damage.found_size(SHORT, 7)
    return damage


def name_of(number: int) -> str:
    return pack_name(bytes([number]) * 16)


def spoilt(number: int, flaw: int = 0, length: int = 10) -> tuple[int, int, int]:
    return number, length, flaw


@pytest.mark.parametrize(
    ("places", "said", "lost"),
    [
        ([spoilt(GOOD)], None, False),
        ([], (f"chunk {CHUNK.hex()}", TEXTS[NO_PACK]), True),
        ([spoilt(GONE)], (name_of(GONE), ABSENT), True),
        ([spoilt(SHORT)], (name_of(SHORT), CUT), True),
        ([spoilt(GOOD, DOES_NOT_OPEN)], (name_of(GOOD), TEXTS[DOES_NOT_OPEN]), True),
        ([spoilt(GONE), spoilt(GOOD)], (name_of(GONE), ABSENT), False),
        ([spoilt(GOOD, DOES_NOT_OPEN), spoilt(GOOD)], (name_of(GOOD), TEXTS[DOES_NOT_OPEN]), False),
        ([spoilt(SHORT), spoilt(GONE)], (name_of(SHORT), CUT), True),
        ([spoilt(GOOD, length=11)], (name_of(GOOD), TEXTS[OTHER_LENGTH]), True),
    ],
)
def test_a_chunk_is_named_if_it_is_bad_anywhere_and_lost_if_it_is_everywhere(
    places: list[tuple[int, int, int]], said: tuple[str, str] | None, lost: bool
) -> None:
    damage = of_three_packs()
    damage.judge(Chunk(CHUNK, places, iter([(KEY, 10)])))
    assert [(each.object, each.text) for each in damage.findings.problems()] == ([said] if said else [])
    assert (KEY in damage, bool(damage)) == (lost, lost)


def manifest() -> Manifest:
    entries = [
        Entry(b"/bad", "f", 10, b"", b"", [0, 0, 10]),
        Entry(b"/fine", "f", 10, b"", b"", [1, 0, 10]),
        Entry(b"/half", "f", 20, b"", b"", [1, 0, 10, 0, 0, 10, 0, 0, 10]),
    ]
    return Manifest(entries, CHUNK + b"d" * 32, [10, 10])


REF = describe(manifest(), b"m" * 24, 1, b"d" * 32)


def test_only_files_that_use_a_flawed_chunk_are_lost_and_each_is_named_once() -> None:
    damage = of_three_packs()
    damage.judge(Chunk(CHUNK, [spoilt(GONE)], iter([(KEY, 10)])))
    found = damage.cost(KEY, REF, manifest())
    assert found.files == 2
    assert [(flaw.first, flaw.text) for flaw in found.flaws] == [(b"/bad", ABSENT), (b"/half", ABSENT)]


def test_beyond_the_chunks_that_are_remembered_all_files_count_as_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_FLAWED", 1)
    damage = of_three_packs()
    damage.judge(Chunk(b"b" * 32, [], iter([(KEY + 1, 10)])))
    damage.judge(Chunk(CHUNK, [], iter([(KEY, 10)])))
    assert KEY in damage
    found = damage.cost(KEY, REF, manifest())
    assert (found.files, found.flaws) == (3, [])


def test_beyond_the_paths_that_are_named_losses_are_still_counted(
    repo: "Repo", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_NAMED", 2)
    dice = random.Random(8)
    repo.backup({b"/%d" % number: dice.randbytes(20_000) for number in range(5)}, 1)
    for name in repo.stored("packs/"):
        repo.store.delete(name)
    report = check(repo.subject, repo.room, STRUCTURE)
    (problem,) = report.problems
    assert [place.first for place in problem.touched] == [b"/0", b"/1"]
    assert [loss.files for loss in report.losses] == [5]
