"""A real S3 server behind a proxy that spoils requests: nothing wrong is ever read or written."""

import secrets
import threading

import pytest

from config.settings import StoreSettings
from repository.errors import (
    ObjectDamaged,
    ObjectExists,
    StoreDenied,
    StoreUnreachable,
    StoreUnsupported,
)
from repository.retry import RetryingPruner
from repository.s3.transfer import PART
from tests.repository.s3.conftest import NO_WAITING, Open
from tests.repository.s3.proxy import Fault, Proxy
from tests.s3_server import BUCKET, S3Server

LARGE = 2 * PART + 1000


def test_slow_down_is_tried_again(opened: Open, spoiler: Proxy):
    spoiler.faults = [Fault(times=3, status=503, code="SlowDown"), Fault(times=2, status=500)]
    store = RetryingPruner(opened(), NO_WAITING)
    store.put("a", [b"x"])
    assert store.get("a", 1) == b"x"
    assert spoiler.count("PUT") == 6


@pytest.mark.parametrize("size", [1, LARGE])
def test_a_lost_answer_to_a_create_is_no_error(opened: Open, spoiler: Proxy, size: int):
    data = secrets.token_bytes(size)
    method, part = ("PUT", "") if size == 1 else ("POST", "uploadId")
    spoiler.faults = [
        Fault(lambda request: request.method == method and part in request.target, drop="answer")
    ]
    store = RetryingPruner(opened(), NO_WAITING)
    store.put("packs/aa/bb", [data])
    assert store.get("packs/aa/bb", size) == data
    with pytest.raises(ObjectExists):
        store.put("packs/aa/bb", [data])


def test_only_the_part_that_failed_is_sent_again(opened: Open, spoiler: Proxy):
    data = secrets.token_bytes(LARGE)
    spoiler.faults = [Fault(lambda request: "partNumber=2" in request.target, times=2, drop="request")]
    store = opened()
    store.put("packs/aa/bb", [data])
    assert store.get("packs/aa/bb", LARGE) == data
    assert [spoiler.count("PUT", f"partNumber={number}") for number in (1, 2, 3)] == [1, 3, 1]


def test_an_upload_that_fails_leaves_nothing(opened: Open, spoiler: Proxy, s3: S3Server, prefix: str):
    spoiler.faults = [
        Fault(lambda request: "partNumber=3" in request.target, times=9, status=403, code="AccessDenied")
    ]
    store = opened()
    with pytest.raises(StoreDenied):
        store.put("packs/aa/bb", [bytes(LARGE)])
    assert list(store.list("")) == []
    assert not s3.client().list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads")


@pytest.mark.parametrize("size", [500, 3 << 20, LARGE])
def test_what_is_damaged_on_the_way_is_refused_by_the_server(opened: Open, spoiler: Proxy, size: int):
    spoiler.faults = [Fault(lambda request: request.method == "PUT", flip_request=100)]
    data = secrets.token_bytes(size)
    store = RetryingPruner(opened(), NO_WAITING)
    store.put("packs/aa/bb", [data])
    assert store.get("packs/aa/bb", size) == data
    assert spoiler.count("PUT") == (2 if size < LARGE else 4)


@pytest.mark.parametrize("cut", [0, 1, 70_000])
def test_an_answer_that_breaks_off_is_tried_again(opened: Open, spoiler: Proxy, cut: int):
    data = secrets.token_bytes(100_000)
    raw = opened()
    raw.put("a", [data])
    spoiler.faults = [Fault(lambda request: request.method == "GET", times=1, cut_answer=cut)]
    with pytest.raises(StoreUnreachable):
        raw.get("a", len(data))
    spoiler.faults = [Fault(lambda request: request.method == "GET", times=2, cut_answer=cut)]
    store = RetryingPruner(raw, NO_WAITING)
    out = bytearray(len(data))
    store.read_into("a", 0, memoryview(out))
    assert out == data


def test_of_a_large_read_only_the_piece_that_failed_is_read_again(opened: Open, spoiler: Proxy):
    data = secrets.token_bytes(LARGE)
    store = opened()
    store.put("packs/aa/bb", [data])
    spoiler.faults = [Fault(lambda request: request.method == "GET", times=2, cut_answer=1000)]
    out = bytearray(LARGE)
    store.read_into("packs/aa/bb", 0, memoryview(out))
    assert out == data
    assert spoiler.count("GET") == 5 + 2


def test_a_server_that_is_silent_is_given_up_after_the_timeout(opened: Open, spoiler: Proxy):
    spoiler.faults = [Fault(pause_s=3.0)]
    with pytest.raises(StoreUnreachable, match=r"(?i)timed? ?out"):
        opened().put("a", [b"x"])


def test_a_dripping_answer_is_given_up(opened: Open, spoiler: Proxy):
    store = opened()
    store.put("a", [bytes(100)])
    spoiler.faults = [Fault(drip_s=0.1)]
    with pytest.raises(StoreUnreachable, match="slowly"):
        store.get("a", 100)


def test_a_server_that_ignores_ranges_is_refused(opened: Open, spoiler: Proxy):
    store = opened()
    store.put("a", [b"0123456789"])
    spoiler.faults = [Fault(status=200, extra={"x-amz-nothing": ""}, times=1)]
    with pytest.raises((StoreUnsupported, ObjectDamaged)):
        store.get_range("a", 3, 2)


def test_a_listing_goes_on_after_a_fault(opened: Open, spoiler: Proxy, s3: S3Server, prefix: str):
    client = s3.client()
    names = [f"jobs/{number:06d}" for number in range(1050)]
    threads = [
        threading.Thread(
            target=lambda part: [client.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}") for name in part],
            args=(names[start::4],),
        )
        for start in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = RetryingPruner(opened(), NO_WAITING)
    listing = store.list("jobs/")
    found = [next(listing) for _ in range(5)]
    asked = spoiler.count("GET")
    spoiler.faults = [Fault(times=2, drop="request"), Fault(cut_answer=50)]
    assert found + list(listing) == names
    assert asked == 1
    assert spoiler.count("GET") == 1 + 3 + 1


def test_requests_have_timeouts_and_no_retries_of_their_own(opened: Open, spoiler: Proxy):
    spoiler.faults = [Fault(times=99, status=503, code="SlowDown")]
    with pytest.raises(StoreUnreachable):
        opened().get("a", 1)
    assert len(spoiler.seen) == 1


def test_settings_are_of_seconds():
    assert StoreSettings().connect_timeout_s <= 10
    assert StoreSettings().read_timeout_s <= 30
