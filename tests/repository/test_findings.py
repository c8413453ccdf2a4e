"""What a check tells has bounds, and loses no count by them."""

import pytest

from repository import findings as module
from repository.findings import Findings, Loss, Problem, Touched


def test_a_problem_is_told_once_with_all_that_it_touches() -> None:
    findings = Findings()
    one, other = Touched(b"s", b"/a", b"/b"), Touched(b"t", b"/a", b"/a")
    for _ in range(2):
        findings.add("packs/aa", "is missing")
    findings.add("packs/aa", "is short")
    findings.touch("packs/aa", "is missing", one)
    findings.touch("packs/aa", "is missing", other)
    findings.touch("packs/bb", "was never added", one)
    assert findings.problems() == [
        Problem("packs/aa", "is missing", [one, other]),
        Problem("packs/aa", "is short", []),
    ]
    assert len(findings) == 2


def test_beyond_the_bounds_is_counted_and_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PROBLEMS", 3)
    monkeypatch.setattr(module, "MAX_TOUCHED", 2)
    findings = Findings()
    for number in range(5):
        findings.add(f"packs/{number}", "is missing")
        for place in range(4):
            findings.touch(f"packs/{number}", "is missing", Touched(b"s", b"/%d" % place, b"/%d" % place))
    assert len(findings) == 5
    assert [(each.object, len(each.touched)) for each in findings.problems()] == [
        (f"packs/{number}", 2) for number in range(3)
    ]


def test_losses_add_up_by_snapshot_oldest_first() -> None:
    findings = Findings()
    findings.lose(b"new", 2, 1, 10)
    findings.lose(b"old", 1, 5, 20)
    findings.lose(b"new", 2, 3, 10)
    assert findings.losses() == [Loss(b"old", 1, 5, 20), Loss(b"new", 2, 4, 10)]
