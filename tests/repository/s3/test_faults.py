"""A real S3 server behind a proxy that spoils requests: nothing wrong is ever read or written."""

import secrets
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from config.settings import StoreSettings
from repository.errors import (
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    RepositoryError,
    StoreDenied,
    StoreFull,
    StoreMissing,
    StoreUnreachable,
    StoreUnsupported,
)
from repository.place import parse_place
from repository.retry import RetryingPruner, RetryPolicy
from repository.s3.store import S3Pruner, S3Writer
from repository.s3.transfer import PART
from tests.repository.s3.conftest import NO_WAITING, QUICK, Open
from tests.repository.s3.proxy import Fault, Proxy
from tests.s3_server import BUCKET, S3Server

LARGE = 2 * PART + 1000


def test_slow_down_is_tried_again(opened: Open, spoiler: Proxy):
    spoiler.faults = [Fault(times=3, status=503, code="SlowDown"), Fault(times=2, status=500)]
    store = RetryingPruner(opened(), NO_WAITING)
    store.put("a", [b"x"])
    assert store.get("a", 1) == b"x"
    assert spoiler.count("PUT") == 6


def test_without_retries_slow_down_is_an_error_that_may_be_tried_again(opened: Open, spoiler: Proxy):
    spoiler.faults = [Fault(status=503, code="SlowDown")]
    with pytest.raises(StoreUnreachable, match="SlowDown") as caught:
        opened().put("a", [b"x"])
    assert "parallel" in caught.value.remedy


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


def test_what_a_dead_writer_left_is_swept(opened: Open, s3: S3Server, prefix: str):
    client = s3.client()
    client.create_multipart_upload(Bucket=BUCKET, Key=f"{prefix}/packs/aa/bb")
    client.create_multipart_upload(Bucket=BUCKET, Key=f"{prefix}-other/packs/aa/bb")
    store = opened()
    assert list(store.list("")) == []
    assert store.sweep(3600.0) == 0
    assert store.sweep(-5.0) == 1
    assert store.sweep(-5.0) == 0


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


def test_a_server_that_is_not_there_is_unreachable(opened: Open, spoiler: Proxy):
    spoiler.close()
    with pytest.raises(StoreUnreachable, match="connect") as caught:
        opened().put("a", [b"x"])
    assert "endpoint" in caught.value.remedy


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("https://no-such-host.invalid:8333", "no host of that name"),
        ("https://{plain}", "does not speak TLS"),
    ],
)
def test_an_endpoint_that_cannot_be_one_is_not_tried_again(
    s3: S3Server, prefix: str, endpoint: str, says: str
):
    endpoint = endpoint.format(plain=s3.endpoint.removeprefix("http://"))
    waits: list[float] = []
    policy = RetryPolicy(deadline_s=20.0, sleep=waits.append)
    store = S3Pruner(parse_place(s3.uri(prefix, endpoint=endpoint)), QUICK, policy)  # type: ignore[arg-type]
    with pytest.raises(StoreMissing, match=says) as caught:
        RetryingPruner(store, policy).put("a", [b"x"])
    assert "endpoint" in caught.value.remedy
    assert waits == []


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


def test_names_out_of_order_are_refused(opened: Open):
    store = opened()
    # The server sorts folders by their names alone, and "-" comes before "/": no name of ours does that.
    for name in ("packs/0a/x", "packs/0a-b/y"):
        store.put(name, [b"x"])
    with pytest.raises(StoreUnsupported, match="order"):
        list(store.list("packs/"))


def test_what_consoles_leave_is_no_object(opened: Open, s3: S3Server, prefix: str):
    s3.client().put_object(Bucket=BUCKET, Key=f"{prefix}/packs/")
    opened().put("packs/aa/bb", [b"x"])
    assert list(opened().list("")) == ["packs/aa/bb"]


SKEWED = format_datetime(datetime.now(UTC) - timedelta(hours=2), usegmt=True)
ANSWERS: list[tuple[Fault, type[RepositoryError], str, str]] = [
    (Fault(status=404, code="NoSuchBucket"), StoreMissing, "NoSuchBucket", "make the bucket"),
    (Fault(status=404, code="NoSuchKey"), ObjectMissing, "no such object", "check"),
    (Fault(status=403, code="AccessDenied"), StoreDenied, "AccessDenied", "policy"),
    (Fault(status=403, code="Unheard"), StoreDenied, "Unheard", "policy"),
    (Fault(status=403, code="InvalidAccessKeyId"), StoreDenied, "InvalidAccessKeyId", "profile=NAME"),
    (Fault(status=403, code="SignatureDoesNotMatch"), StoreDenied, "SignatureDoesNotMatch", "credentials"),
    (Fault(status=400, code="ExpiredToken"), StoreDenied, "ExpiredToken", "credentials"),
    (
        Fault(status=403, code="RequestTimeTooSkewed", extra={"Date": SKEWED}),
        StoreDenied,
        "clock differs from the server's by [0-9]+ minutes",
        "clock",
    ),
    (
        Fault(status=400, code="AuthorizationHeaderMalformed", extra={"Region": "eu-west-3"}, times=9),
        StoreMissing,
        "AuthorizationHeaderMalformed",
        "region=eu-west-3",
    ),
    (
        Fault(status=301, code="PermanentRedirect", extra={"x-amz-bucket-region": "eu-west-3"}, times=9),
        StoreMissing,
        "PermanentRedirect",
        "region=eu-west-3",
    ),
    (Fault(status=500, code="InternalError"), StoreUnreachable, "InternalError", ""),
    (Fault(status=502), StoreUnreachable, "502", ""),
    (Fault(status=429, code="TooManyRequests"), StoreUnreachable, "TooMany", "parallel"),
    (Fault(status=409, code="ConditionalRequestConflict"), StoreUnreachable, "Conflict", ""),
    (Fault(status=507, code="Whatever"), StoreFull, "Whatever", "space"),
    (Fault(status=403, code="QuotaExceeded"), StoreFull, "QuotaExceeded", "quota"),
    (Fault(status=501, code="NotImplemented"), StoreUnsupported, "NotImplemented", "server"),
    (Fault(status=403, code="InvalidObjectState"), StoreDenied, "InvalidObjectState", "archived"),
    (Fault(status=400, code="KMS.DisabledException"), StoreDenied, "KMS.Disabled", "KMS key"),
    (Fault(status=400, code="InvalidStorageClass"), StoreUnsupported, "InvalidStorageClass", "class"),
    (Fault(status=412, code="PreconditionFailed"), ObjectExists, "taken", ""),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer[0].code or str(answer[0].status))
def test_each_refusal_is_told_as_what_it_is(
    opened: Open, spoiler: Proxy, answer: tuple[Fault, type[RepositoryError], str, str]
):
    fault, kind, message, remedy = answer
    spoiler.faults = [replace(fault)]
    with pytest.raises(RepositoryError, match=message) as caught:
        opened().get("a", 1)
    assert type(caught.value) is kind
    assert remedy in caught.value.remedy
    assert "secret" not in caught.value.message


def test_an_answer_without_words_is_asked_again_with_words(opened: Open, spoiler: Proxy):
    with pytest.raises(StoreMissing, match="NoSuchBucket"):
        opened("no-such-bucket").size("a")
    with pytest.raises(StoreDenied, match="SignatureDoesNotMatch"):
        opened(profile="mistyped").size("a")
    spoiler.faults = [Fault(status=403, times=2, extra={"Date": SKEWED})]
    with pytest.raises(StoreDenied, match="clock"):
        opened().size("a")


def test_real_refusals_of_the_server(s3: S3Server, prefix: str, tmp_path: Path):
    def store(bucket: str = BUCKET, **options: str) -> S3Pruner:
        return S3Pruner(parse_place(s3.uri(prefix, bucket, **options)), QUICK, NO_WAITING)  # type: ignore[arg-type]

    for call in (
        lambda each: each.put("a", [b"x"]),
        lambda each: each.get("a", 1),
        lambda each: list(each.list("")),
        lambda each: each.delete("a"),
    ):
        with pytest.raises(StoreMissing):
            call(store("no-such-bucket"))
        for profile in ("mistyped", "unknown"):
            with pytest.raises(StoreDenied, match=r"SignatureDoesNotMatch|InvalidAccessKeyId"):
                call(store(profile=profile))
        with pytest.raises(StoreDenied, match="profile"):
            call(store(profile="not-there"))
    reader = store(profile="reader")
    store().put("a", [b"x"])
    assert reader.get("a", 1) == b"x"
    for refused in (lambda: reader.put("b", [b"x"]), lambda: reader.delete("a")):
        with pytest.raises(StoreDenied, match="AccessDenied"):
            refused()


def test_a_certificate_must_be_trusted(s3: S3Server, prefix: str, tmp_path: Path):
    def store(**options: str) -> S3Pruner:
        uri = s3.uri(prefix, endpoint=s3.tls_endpoint, **options)
        return S3Pruner(parse_place(uri), QUICK, NO_WAITING)  # type: ignore[arg-type]

    with pytest.raises(StoreDenied, match="certificate") as caught:
        store().put("a", [b"x"])
    assert "ca=" in caught.value.remedy
    with pytest.raises(StoreDenied, match="no file"):
        store(ca=str(tmp_path / "none.pem")).put("a", [b"x"])
    trusting = store(ca=str(s3.ca))
    data = secrets.token_bytes(LARGE)
    trusting.put("packs/aa/bb", [data])
    assert trusting.get("packs/aa/bb", LARGE) == data
    wrong_name = s3.tls_endpoint.replace("127.0.0.1", "localhost")
    uri = s3.uri(prefix, endpoint=wrong_name, ca=str(s3.ca))
    with pytest.raises(StoreDenied, match="certificate"):
        S3Pruner(parse_place(uri), QUICK, NO_WAITING).get("a", 1)  # type: ignore[arg-type]


def test_init_looks_at_the_bucket(s3: S3Server, prefix: str):
    def init(bucket: str, **options: str) -> S3Writer:
        return S3Writer(parse_place(s3.uri(prefix, bucket, **options)), QUICK, NO_WAITING, create=True)  # type: ignore[arg-type]

    init(BUCKET)
    with pytest.raises(StoreMissing):
        init("no-such-bucket")
    with pytest.raises(StoreUnsupported, match="ObjectLock") as caught:
        init(BUCKET, lock="governance", retention="1d")
    assert "bucket with Object Lock" in caught.value.remedy


def test_what_the_uri_asks_for_is_in_the_requests(opened: Open, spoiler: Proxy):
    spoiler.faults = [Fault(times=99, status=500)]
    store = opened(
        **{"sse": "aws:kms", "sse-kms-key": "alias/store", "class": "STANDARD_IA", "owner": "123456789012"}
    )
    for name, size in (("packs/aa/bb", 10), ("config", 10), ("packs/aa/cc", LARGE)):
        with pytest.raises(StoreUnreachable):
            store.put(name, [bytes(size)])
    seen = {(each.method, each.target.split("?")[0].rpartition("/")[2]): each for each in spoiler.seen}
    for key in (("PUT", "bb"), ("PUT", "config"), ("POST", "cc")):
        headers = seen[key].headers
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/store"
        assert headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"
        assert headers["x-amz-expected-bucket-owner"] == "123456789012"
        assert headers.get("x-amz-storage-class") == (None if key[1] == "config" else "STANDARD_IA")
    for key in (("PUT", "bb"), ("PUT", "config")):
        assert seen[key].headers["if-none-match"] == "*"
        assert "x-amz-checksum-crc32" in seen[key].headers


def test_every_create_is_conditional_and_has_checksums(opened: Open, spoiler: Proxy):
    opened().put("packs/aa/cc", [bytes(LARGE)])
    ends = [each for each in spoiler.seen if each.method == "POST" and "uploadId" in each.target]
    parts = [each for each in spoiler.seen if "partNumber" in each.target]
    assert [each.headers["if-none-match"] for each in ends] == ["*"]
    assert all("x-amz-checksum-crc32" in each.headers for each in parts)
    assert len(parts) == 3


def test_requests_have_timeouts_and_no_retries_of_their_own(opened: Open, spoiler: Proxy):
    spoiler.faults = [Fault(times=99, status=503, code="SlowDown")]
    with pytest.raises(StoreUnreachable):
        opened().get("a", 1)
    assert len(spoiler.seen) == 1


def test_settings_are_of_seconds():
    assert StoreSettings().connect_timeout_s <= 10
    assert StoreSettings().read_timeout_s <= 30
