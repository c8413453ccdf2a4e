"""Walking and reading objects of a real S3 server, with answers spoiled on the way."""

import os
import random
import secrets

import msgspec
import pytest

from config.settings import StoreSettings
from repository.errors import StoreDenied, StoreMissing, StoreUnreachable
from repository.limit import limits_of
from sources.patterns import Patterns
from sources.s3.bucket import stamp_of
from sources.s3.listing import Listed
from sources.s3.metadata import decode
from sources.s3.objects import ObjectSource
from sources.s3.place import NotAPlace
from sources.s3.read import PIECE
from sources.source import MissingRoot, Replaced, SourceError, Unreadable, Vanished, Wanted
from tests.repository.s3.proxy import Fault, Request
from tests.s3_server import LOCKED, S3Server
from tests.sources.s3.conftest import QUICK, Bytes, Place

BIG = random.Random(1).randbytes(3 * PIECE + 5)


def getting(key: str) -> object:
    return lambda request: (
        request.method == "GET" and key in request.target and "tagging" not in request.target
    )


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


@pytest.mark.parametrize(
    "uris",
    [
        ["s3://one/a", "s3://other/a"],
        ["s3://one/a?profile=x", "s3://one/b"],
        ["s3://one/a?lock=governance&retention=1d"],
        ["s3://one/a?class=STANDARD_IA"],
        ["s3://One/a"],
        ["s3://one/a#b"],
        ["s3://one/a?secret=b"],
        ["/one/a"],
    ],
)
def test_uris_that_name_no_objects_are_refused(uris: list[str]):
    with pytest.raises(NotAPlace):
        ObjectSource(uris, StoreSettings())


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


def test_a_look_inside_costs_one_request_and_tells_no_errors(place: Place):
    place.put("big", BIG, Tagging="a=b")
    out = memoryview(bytearray(1000))
    assert place.source().look(place.path("big"), 77, out) == 1000
    assert out == BIG[77:1077]
    assert len(place.spoiler.seen) == 1
    assert place.source().look(place.path("big"), len(BIG) - 5, out) == 5
    assert place.source().look(place.path("gone"), 0, out) == 0
    assert place.source().look(b"/etc/passwd", 0, out) == 0


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


def test_metadata_tags_and_version_are_kept(place: Place):
    place.bucket = LOCKED  # a bucket with Object Lock has versions
    place.put("k", b"old", Metadata={"a": "1"})
    place.put("k", b"new", Metadata={"a": "2"}, Tagging="x=y", ContentType="text/x", ContentEncoding="gzip")
    (found,) = place.walk()
    data, item = place.read(found)
    meta = decode(item.meta)
    head = place.s3.client().head_object(Bucket=LOCKED, Key=meta.key)
    assert data == b"new"
    assert meta.key == f"{place.prefix}/k"
    assert (meta.metadata, meta.tags) == ([("a", "2")], [("x", "y")])
    assert (meta.content_type, meta.content_encoding) == ("text/x", "gzip")
    assert (meta.version, meta.etag) == (head["VersionId"], head["ETag"])
    assert meta.modified_ms == head["LastModified"].timestamp() * 1000


def test_tags_that_may_not_be_read_are_a_warning(place: Place):
    place.put("k", b"data", Tagging="a=b&c=d")
    (found,) = place.walk()
    place.spoiler.faults.append(
        Fault(matches=lambda request: "tagging" in request.target, status=403, code="AccessDenied")
    )
    data, item = place.read(found)
    assert data == b"data"
    assert item.warnings == ("its 2 tags are not kept: it may not be read (AccessDenied)",)


@pytest.mark.parametrize(
    ("status", "code", "said", "error", "words"),
    [
        (404, "NoSuchKey", "", Vanished, "removed"),
        (412, "PreconditionFailed", "", Replaced, "replaced"),
        (416, "InvalidRange", "", Replaced, "replaced"),
        (403, "AccessDenied", "on resource: the-name", Unreadable, "may not be read (AccessDenied)"),
        (403, "InvalidObjectState", "", Unreadable, "archived"),
        (400, "InvalidRequest", "stored using a form of Server Side Encryption", Unreadable, "SSE-C"),
        (400, "Strange", "the-name", Unreadable, "Strange"),
    ],
)
def test_what_concerns_one_object_is_told_of_it(
    place: Place, status: int, code: str, said: str, error: type[SourceError], words: str
):
    place.put("the-name", b"data")
    (found,) = place.walk()
    place.spoiler.faults.append(Fault(getting("the-name"), status=status, code=code, said=said))  # type: ignore[arg-type]
    with pytest.raises(error) as told:
        place.read(found)
    assert told.value.path == found.path
    assert words in told.value.message
    assert "the-name" not in str(told.value), "a message may get into a log"
    assert told.value.__cause__ is None
    assert place.read(found)[0] == b"data"


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("SlowDown", 503, StoreUnreachable),
        ("InternalError", 500, StoreUnreachable),
        ("ExpiredToken", 400, StoreDenied),
        ("NoSuchBucket", 404, StoreMissing),
    ],
)
def test_what_concerns_all_of_them_ends_the_task(
    place: Place, code: str, status: int, error: type[Exception]
):
    place.put("k", b"data")
    (found,) = place.walk()
    place.spoiler.faults.append(Fault(getting("/k"), times=99, status=status, code=code))  # type: ignore[arg-type]
    with pytest.raises(error):
        place.read(found)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503, code="SlowDown", times=2),
        Fault(drop="request"),
        Fault(drop="answer"),
        Fault(cut_answer=100),
    ],
)
def test_what_passes_is_tried_again(place: Place, fault: Fault):
    place.put("big", BIG)
    (found,) = place.walk()
    fault.matches = getting("/big")  # type: ignore[assignment]
    place.spoiler.faults.append(fault)
    assert place.read(found)[0] == BIG


def test_a_listing_goes_on_where_it_broke_off(place: Place):
    for number in range(30):
        place.put(f"n-{number:02}")
    place.spoiler.faults.append(
        Fault(lambda request: "continuation-token" in request.target, status=500, code="InternalError")
    )
    source = place.source()
    keys = [each.key for each in source._bucket.keys(f"{place.prefix}/", "", 7)]
    assert keys == [f"{place.prefix}/n-{number:02}" for number in range(30)]


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


def test_the_server_s_own_errors_for_one_object(place: Place):
    """Without the proxy's script: gone, and under a key of the customer's own."""
    place.put("gone")
    place.put("keyed", SSECustomerAlgorithm="AES256", SSECustomerKey=secrets.token_bytes(32))
    found = {each.path: each for each in place.walk()}
    place.s3.client().delete_object(Bucket=place.bucket, Key=f"{place.prefix}/gone")
    with pytest.raises(Vanished):
        place.read(found[place.path("gone")])
    with pytest.raises(Unreadable, match="SSE-C"):
        place.read(found[place.path("keyed")])


def _never(path: bytes, why: str) -> None:
    raise AssertionError((path, why))


@pytest.mark.parametrize("other", [{"size": 2}, {"etag": '"f"'}, {"modified_s": 4}])
def test_a_stamp_changes_with_each_thing_that_a_listing_says(other: dict[str, object]):
    listed = Listed("k", 1, '"e"', 3)
    assert stamp_of(listed) == stamp_of(Listed("other", 1, '"e"', 3))
    assert stamp_of(listed) != stamp_of(listed._replace(**other))  # type: ignore[arg-type]
