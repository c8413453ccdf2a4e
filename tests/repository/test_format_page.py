"""docs/format.md keeps its word: every rule names a test that shows it, and its numbers are the code's.

That the tests exist is seen in tests/test_pages.py.
"""

from pathlib import Path

from crypto.header import FORMAT_VERSION, MAGIC, Kind
from crypto.sealing import sealed_length
from repository import objects
from repository.pack import FOOTER_LENGTH, GRAIN, MAX_RECORDS, RECORD

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/format.md").read_text()


def test_every_rule_of_the_page_names_a_test() -> None:
    rules = [line for line in PAGE.splitlines() if "**must" in line and "names the test" not in line]
    assert len(rules) > 25
    order = next(rule for rule in rules if rule.startswith("A writer **must** write in this order"))
    for rule in rules:
        # The order as a whole is what the bullets below it and the crash tests of the workers hold.
        assert rule == order or "::test_" in rule, rule


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"`{MAGIC.decode()}`" in PAGE
    assert f"format version, {FORMAT_VERSION} " in PAGE
    for kind in Kind:
        assert f"\n| {kind.value} | " in PAGE
    assert f"records of {RECORD.size} bytes" in PAGE
    assert f"| {FOOTER_LENGTH} | seal of the footer" in PAGE
    assert f"1 to {MAX_RECORDS} records" in PAGE
    assert f"a multiple of {GRAIN}" in PAGE
    assert sealed_length(40_000) == 56 + 40_000 + 16 * (40_000 // 16384 + 1)
    assert (objects.MAX_VAULT, objects.MAX_MANIFEST, objects.MAX_WORK) == (4 << 10, 128 << 20, 128 << 20)
    assert {objects.MAX_INDEX, objects.MAX_SNAPSHOT, objects.MAX_PLAN, objects.MAX_DONE} == {64 << 20}
