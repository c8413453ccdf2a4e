"""One bucket: what S3 says of its objects, and which errors are one object's and which all of them."""

import secrets

import pytest

from repository.errors import StoreDenied, StoreMissing, StoreUnreachable
from sources.s3.bucket import stamp_of
from sources.s3.listing import Listed
from sources.s3.metadata import decode
from sources.source import Replaced, SourceError, Unreadable, Vanished
from tests.repository.s3.proxy import Fault
from tests.s3_server import LOCKED
from tests.sources.s3.asked import BIG, getting
from tests.sources.s3.conftest import Place


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


@pytest.mark.parametrize("other", [{"size": 2}, {"etag": '"f"'}, {"modified_s": 4}])
def test_a_stamp_changes_with_each_thing_that_a_listing_says(other: dict[str, object]):
    listed = Listed("k", 1, '"e"', 3)
    assert stamp_of(listed) == stamp_of(Listed("other", 1, '"e"', 3))
    assert stamp_of(listed) != stamp_of(listed._replace(**other))  # type: ignore[arg-type]
