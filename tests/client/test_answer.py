"""Answers in lines: in order, whole, and nothing but lines, decoded all at once or one by one."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.answer import MAX_LINE, ListingDamaged, answered, lines_of
from client.errors import ClientError, Interrupted
from config.errors import StrongroomError
from crypto import job as jobs
from crypto.job import JobRequest
from tests.client.lines import answer_of, deliver_lines, packed
from tests.client.scripted import World

ANY_TEXT = st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF, categories=None))
VALUES = (
    ANY_TEXT | st.integers() | st.booleans() | st.none() | st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3)
)
FIRST, SECOND = [{"n": 1}, {"n": 2}], [{"n": 3}]


def list_spec(world: World, requester: bytes, area: str) -> jobs.Spec:
    return jobs.ListSpec(world.vault.repo, requester, "latest", b"", area)


def test_lines_come_in_the_order_of_parcels(tmp_path: Path) -> None:
    answer = answer_of(tmp_path, packed(FIRST), b"", packed(SECOND))
    assert list(answer.lines()) == FIRST + SECOND
    assert list(answer.lines(2)) == SECOND
    assert answer.parcel(1) == []


@pytest.mark.parametrize("number", [-1, 1, 1 << 40])
def test_a_parcel_that_is_not_due_is_not_looked_for(tmp_path: Path, number: int) -> None:
    with pytest.raises(ListingDamaged) as refused:
        answer_of(tmp_path, packed(FIRST)).parcel(number)
    assert refused.value.remedy


@pytest.mark.parametrize(
    "listing", [b"{", b"[]", b"1", b"null", b'{"a": "\xff"}', b'{"a": "%s"}' % (b"x" * MAX_LINE)]
)
def test_what_is_no_line_is_refused(tmp_path: Path, listing: bytes) -> None:
    with pytest.raises(ListingDamaged) as refused:
        list(answer_of(tmp_path, packed(FIRST) + b"\n" + listing).lines())
    assert refused.value.remedy


def test_an_answer_from_the_request_to_its_last_line(world: World) -> None:
    told: list[tuple[str, int]] = []
    with (
        world.serving(lambda request: deliver_lines(world, request, [packed(FIRST), packed(SECOND)])),
        answered(
            world.session,
            jobs.LIST,
            world.vault,
            lambda requester, area: list_spec(world, requester, area),
            lambda snapshot, time_ns: told.append((snapshot, time_ns)),
        ) as answer,
    ):
        assert list(answer.lines()) == FIRST + SECOND
        assert answer.outcome == {"n": 1}
    assert told == [("00" * 16, 5)]


@pytest.mark.parametrize(("whole", "named", "error"), [(False, True, ListingDamaged), (True, False, None)])
def test_a_lost_word_about_a_parcel_loses_nothing_and_a_lost_end_is_told(
    world: World, whole: bool, named: bool, error: type[ClientError] | None
) -> None:
    def serve(request: JobRequest) -> None:
        deliver_lines(world, request, [packed(FIRST)], whole=whole, named=named)

    def read() -> list[dict[str, object]]:
        make = answered(world.session, jobs.LIST, world.vault, lambda *each: list_spec(world, *each))
        with make as answer:
            return list(answer.lines())

    with world.serving(serve):
        if error is None:
            assert read() == FIRST
        else:
            with pytest.raises(error, match="whole"):
                read()


def test_ctrl_c_cancels_the_job(world: World) -> None:
    def stop(snapshot: str, time_ns: int) -> None:
        raise KeyboardInterrupt

    with (
        world.serving(
            lambda request: (
                deliver_lines(world, request, [packed(FIRST)])
                if request.kind == jobs.LIST
                else world.verdict(request, "cancelled")
            )
        ),
        pytest.raises(Interrupted) as caught,
        answered(world.session, jobs.LIST, world.vault, lambda *each: list_spec(world, *each), stop),
    ):
        pytest.fail("the block ran")
    assert isinstance(caught.value, StrongroomError)
    assert caught.value.exit_code == 130


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
