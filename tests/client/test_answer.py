"""The lines of an answer: decoded all at once where that can be done, one by one where not, and the same either way."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.answer import MAX_LINE, ListingDamaged, lines_of

ANY_TEXT = st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF, categories=None))
VALUES = (
    ANY_TEXT | st.integers() | st.booleans() | st.none() | st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3)
)


@given(st.lists(st.dictionaries(ANY_TEXT, VALUES, max_size=5), max_size=20))
def test_every_line_comes_back_whatever_is_in_it(lines: list[dict[str, Any]]) -> None:
    assert lines_of(b"\n".join(json.dumps(line).encode() for line in lines)) == lines


def test_a_path_that_is_not_utf8_is_none_of_the_decoders_business() -> None:
    assert lines_of(b'{"path": "/a"}\n{"path": "/caf\\udce9"}') == [{"path": "/a"}, {"path": "/caf\udce9"}]


@pytest.mark.parametrize(
    "listing",
    [b"[1]", b"{", b'{"a": 1}\n\n{"b": 2}', b'{"a": 1}{"b": 2}', b'{"a":\n1}', b"\xff", b'"x"', b"{}\n{}x"],
)
def test_other_lines_are_refused(listing: bytes) -> None:
    with pytest.raises(ListingDamaged):
        lines_of(listing)


def test_a_line_that_is_too_long_is_refused() -> None:
    longest = json.dumps({"a": "x" * (MAX_LINE - 9)}).encode()
    assert len(lines_of(b"{}\n" + longest)) == 2
    with pytest.raises(ListingDamaged):
        lines_of(b"{}\n" + longest + b" ")
