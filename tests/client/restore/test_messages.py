"""What command and openers say to each other is read as it was said, and nothing else is read."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.restore.messages import (
    EndSegment,
    LinkName,
    Part,
    SegmentReport,
    Take,
    Took,
    decode_answer,
    decode_order,
    encode,
)

NUMBER = st.integers(0, 2**63 - 1)
PAIRS = st.lists(st.tuples(st.binary(max_size=9), st.text(max_size=9)), max_size=3).map(tuple)
ORDERS = st.builds(Take, NUMBER, NUMBER, NUMBER, st.binary(max_size=16)) | st.builds(EndSegment, NUMBER)
LINKS = st.lists(st.builds(LinkName, st.binary(max_size=9), NUMBER, NUMBER, NUMBER, st.binary()), max_size=2)
PARTS = st.lists(st.builds(Part, st.binary(max_size=9), NUMBER, NUMBER, NUMBER, st.binary()), max_size=2)
DIRS = st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=2).map(tuple)
ANSWERS = st.builds(Took, NUMBER, NUMBER, NUMBER, NUMBER, st.text(max_size=9)) | st.builds(
    SegmentReport, NUMBER, PAIRS, PAIRS, DIRS, LINKS.map(tuple), PARTS.map(tuple)
)


@given(ORDERS, ANSWERS)
def test_what_was_said_is_read(order: Take | EndSegment, answer: Took | SegmentReport) -> None:
    assert decode_order(encode(order)) == order
    assert decode_answer(encode(answer)) == answer


@given(ORDERS, ANSWERS)
def test_an_answer_is_no_order_nor_the_reverse(
    order: Take | EndSegment, answer: Took | SegmentReport
) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_order(encode(answer))
    with pytest.raises(msgspec.ValidationError):
        decode_answer(encode(order))
