"""Objects in pieces, some of them ahead: each whole, and never of two objects."""

import os

import msgspec
import pytest

from repository.limit import limits_of
from sources.s3.objects import ObjectSource
from sources.s3.read import PIECE
from sources.source import Replaced, Wanted
from tests.repository.s3.proxy import Fault, Request
from tests.sources.s3.asked import BIG
from tests.sources.s3.conftest import QUICK, Bytes, Place


def test_large_objects_come_in_pieces_and_any_part_of_them_alone(place: Place):
    place.put("big", BIG)
    (found,) = place.walk()
    assert place.read(found)[0] == BIG
    assert place.spoiler.count("GET", "/big") == 4
    sink = Bytes()
    with place.source().reader() as reader:
        item = reader.read(Wanted(found.path, found.size, found.stamp, 7, PIECE + 1), sink)
    assert sink.data == BIG[7 : 7 + PIECE + 1]
    assert (item.size, item.stamp, item.ranges) == (len(BIG), found.stamp, ())


def test_what_is_read_counts_for_the_bandwidth_of_the_process(place: Place):
    place.put("k", bytes(1000))
    (found,) = place.walk()
    bounded = msgspec.structs.replace(QUICK, max_mib_per_s=1000.0)
    before = limits_of(bounded, os.getpid())._from
    source = ObjectSource([place.s3.uri(place.prefix)], bounded)
    with source.reader() as reader:
        reader.read(Wanted(found.path, found.size, found.stamp), Bytes())
    assert limits_of(bounded, os.getpid())._from > before


def test_what_is_expected_is_asked_for_ahead_and_comes_in_order(place: Place):
    content = {f"n-{n:03}": os.urandom(n * 40) for n in range(60)}
    for key, body in content.items():
        place.put(key, body)
    found = place.walk()
    wanted = [Wanted(each.path, each.size, each.stamp) for each in found]
    with place.source().reader() as reader:
        reader.expect(wanted)
        for each in wanted[::2]:  # some are not asked for after all
            sink = Bytes()
            reader.read(each, sink)
            assert sink.data == content[each.path.rpartition(b"/")[2].decode()]
    assert place.spoiler.count("GET", "/n-") == len(wanted)


def test_what_was_replaced_since_the_listing_is_read_as_it_is_now(place: Place):
    place.put("k", b"old and longer")
    place.put("same-size", b"old")
    listed = {each.path: each for each in place.walk()}
    place.put("k", BIG)
    place.put("same-size", b"new")
    for key, now in (("k", BIG), ("same-size", b"new")):
        data, item = place.read(listed[place.path(key)])
        assert data == now
        assert item.size == len(now)
        assert item.stamp == next(each.stamp for each in place.walk() if each.path == place.path(key))


def test_a_part_of_another_object_than_was_listed_is_refused(place: Place):
    place.put("big", BIG)
    (found,) = place.walk()
    place.put("big", BIG[::-1])
    with place.source().reader() as reader, pytest.raises(Replaced):
        reader.read(Wanted(found.path, found.size, found.stamp, PIECE, PIECE), Bytes())


def test_pieces_of_two_objects_never_make_one(place: Place):
    place.put("big", BIG)
    (found,) = place.walk()

    def replacing(request: Request) -> bool:
        if request.method == "GET" and "if-match" in request.headers:
            place.put("big", BIG[::-1])
        return False

    place.spoiler.faults.append(Fault(replacing))
    with pytest.raises(Replaced):
        place.read(found)


def test_an_empty_object_that_is_none_any_more(place: Place):
    place.put("k", b"")
    (found,) = place.walk()
    place.put("k", b"more")
    with pytest.raises(Replaced):
        place.read(found)
