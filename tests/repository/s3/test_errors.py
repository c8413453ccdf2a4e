"""Each refusal of a server, and of the library, is told as what it is and with what to do."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from botocore import exceptions as boto

from repository.errors import (
    ObjectExists,
    ObjectMissing,
    RepositoryError,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreUnreachable,
    StoreUnsupported,
)
from repository.place import S3Place, parse_place
from repository.retry import RetryingPruner, RetryPolicy
from repository.s3.errors import CODES, MAX_SAID, in_our_words, translated
from repository.s3.store import S3Pruner
from repository.s3.transfer import PART
from tests.repository.s3.conftest import NO_WAITING, QUICK, Open
from tests.repository.s3.proxy import Fault, Proxy
from tests.s3_server import BUCKET, S3Server

LARGE = 2 * PART + 1000


def test_without_retries_slow_down_is_an_error_that_may_be_tried_again(opened: Open, spoiler: Proxy):
    spoiler.faults = [Fault(status=503, code="SlowDown")]
    with pytest.raises(StoreUnreachable, match="SlowDown") as caught:
        opened().put("a", [b"x"])
    assert "parallel" in caught.value.remedy


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


PLACE = parse_place("s3://bucket/prefix?region=eu-west-3")


def raised(error: Exception) -> tuple[RepositoryError, int]:
    """Ours for it, and how often new credentials were looked for."""
    assert isinstance(PLACE, S3Place)
    asked: list[None] = []
    with pytest.raises(RepositoryError) as caught, translated("a", PLACE, lambda: asked.append(None)):
        raise error
    assert caught.value.__cause__ is error
    return caught.value, len(asked)


def said(code: str, status: int = 400, message: str = "words of the server", **more: str) -> boto.ClientError:
    return boto.ClientError(
        {
            "Error": {"Code": code, "Message": message, **more},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}, "RequestId": "r-1"},
        },
        "GetObject",
    )


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_of_the_table_is_told_with_its_remedy(code: str) -> None:
    rule = CODES[code]
    error, asked = raised(said(code))
    assert type(error) is rule.kind
    assert error.remedy == rule.remedy
    assert asked == rule.about_credentials


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(subclasses(each) for each in kind.__subclasses__()))


def test_no_error_of_the_library_gets_out_untranslated() -> None:
    for kind in subclasses(boto.BotoCoreError) - {boto.SSLError, boto.EndpointConnectionError}:
        error = kind.__new__(kind)
        Exception.__init__(error, "of the library")
        ours, _ = raised(error)
        assert isinstance(ours, StoreError), kind
        assert "s3://bucket/prefix" in ours.message


def test_what_is_to_be_tried_again_is_decided_by_status_where_no_code_is_known() -> None:
    kinds = {
        status: type(raised(said("Unheard", status))[0])
        for status in (400, 403, 409, 429, 500, 503, 507, 599)
    }
    assert kinds == {
        400: StoreError,
        403: StoreDenied,
        409: StoreError,
        429: StoreUnreachable,
        500: StoreUnreachable,
        503: StoreUnreachable,
        507: StoreFull,
        599: StoreUnreachable,
    }


def test_a_servers_words_are_one_short_printable_line() -> None:
    error, _ = raised(said("Unheard", message="a\x1b[31m\n" + "b" * 10_000))
    assert error.message.isprintable()
    assert len(error.message) < MAX_SAID + 200
    region, _ = raised(said("PermanentRedirect", Region="eu\n" + "x" * 10_000))
    assert region.remedy.isprintable()
    assert len(region.remedy) < 2 * MAX_SAID + 100


def test_whose_words_an_error_has_is_known() -> None:
    ours, _ = raised(said("NoSuchKey"))
    assert isinstance(ours, StoreError)
    assert not in_our_words(ours)
    assert in_our_words(StoreUnreachable("the answer broke off"))
