"""Long lists of problems are told in groups that a letter has room for: none is lost."""

from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical, notes
from workers import reporting
from workers.reporting import in_letters


def test_no_problem_is_still_one_letter():
    assert list(in_letters([])) == [()]


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=4096), st.text(max_size=200)), max_size=300))
def test_every_problem_is_told_once_and_every_letter_can_be_read(problems: list[tuple[bytes, str]]):
    groups = list(in_letters(problems))
    assert [problem for group in groups for problem in group] == problems
    for group in groups:
        encoded = canonical.encode(notes.SegmentDone(0, 0, group))
        assert len(encoded) < canonical.MAX_MESSAGE // 2


def test_more_than_one_letter_has_room_for():
    problems = [(b"/%d" % n + b"x" * 1000, "lost") for n in range(1000)]
    assert len(list(in_letters(problems))) > 1
    assert sum(len(path) for path, _ in problems) > reporting.MAX_NAMED
