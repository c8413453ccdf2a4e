"""Walking and reading objects of a real S3 server, with answers spoiled on the way."""

import pytest

from repository.errors import StoreDenied, StoreMissing
from sources.patterns import Patterns
from sources.s3.objects import ObjectSource
from sources.source import MissingRoot
from tests.repository.s3.proxy import Fault
from tests.s3_server import S3Server
from tests.sources.s3.asked import BIG
from tests.sources.s3.conftest import QUICK, Place


def test_a_walk_names_every_object_once_in_path_order(place: Place):
    keys = ["a", "a/b", "a-1", "a.b/c", "z/y/x", "é ö", "100%", "new\nline", "folder/"]
    for key in keys:
        place.put(key, b"" if key.endswith("/") else key.encode())
    found = place.walk()
    assert [each.path.removeprefix(place.path("")) for each in found] == [
        b"100%", b"a", b"a/b", b"a-1", b"a.b/c", b"folder/\1", b"new\nline", b"z/y/x", "é ö".encode(),
    ]  # fmt: skip
    assert all(each.kind == "f" and len(each.stamp) == 32 for each in found)
    for each in found:
        data, item = place.read(each)
        assert len(data) == each.size == item.size
        assert item.stamp == each.stamp, "what was just listed is not new when it is read"


def test_what_is_excluded_is_left_out_with_all_below_it(place: Place):
    for key in ("keep/a.txt", "keep/b.tmp", "tmp/deep/c.txt"):
        place.put(key)
    found = place.walk(Patterns.parse(["*.tmp", f"{place.path('tmp').decode()}"]))
    assert [each.path for each in found] == [place.path("keep/a.txt")]


def test_a_single_object_and_a_prefix_inside_another(place: Place):
    place.put("one", b"1")
    place.put("one-more", b"2")
    place.put("one/below", b"3")
    found = [each.path for each in place.source("/one").walk(Patterns(), _never, _never)]
    assert found == [place.path("one"), place.path("one/below")]
    uris = [place.s3.uri(place.prefix + below) for below in ("/one/below", "/one", "/one-more", "/one")]
    assert list(ObjectSource(uris, QUICK).roots) == [place.path("one"), place.path("one-more")]


def test_nothing_at_the_prefix_is_told_before_anything_is_done(place: Place):
    with pytest.raises(MissingRoot):
        place.source("/nowhere").walk(Patterns(), _never, _never)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("plain-bucket", "no-such-bucket"), StoreMissing),
        (("profile=admin", "profile=deliveries"), StoreDenied),
        (("profile=admin", "profile=mistyped"), StoreDenied),
    ],
)
def test_a_bucket_that_cannot_be_listed_ends_it(
    s3: S3Server, change: tuple[str, str], error: type[Exception]
):
    source = ObjectSource([s3.uri("x").replace(*change)], QUICK)
    with pytest.raises(error):
        source.walk(Patterns(), _never, _never)


def test_a_look_inside_costs_one_request_and_tells_no_errors(place: Place):
    place.put("big", BIG, Tagging="a=b")
    out = memoryview(bytearray(1000))
    assert place.source().look(place.path("big"), 77, out) == 1000
    assert out == BIG[77:1077]
    assert len(place.spoiler.seen) == 1
    assert place.source().look(place.path("big"), len(BIG) - 5, out) == 5
    assert place.source().look(place.path("gone"), 0, out) == 0
    assert place.source().look(b"/etc/passwd", 0, out) == 0


def test_a_listing_goes_on_where_it_broke_off(place: Place):
    for number in range(30):
        place.put(f"n-{number:02}")
    place.spoiler.faults.append(
        Fault(lambda request: "continuation-token" in request.target, status=500, code="InternalError")
    )
    source = place.source()
    keys = [each.key for each in source._bucket.keys(f"{place.prefix}/", "", 7)]
    assert keys == [f"{place.prefix}/n-{number:02}" for number in range(30)]


def _never(path: bytes, why: str) -> None:
    raise AssertionError((path, why))
