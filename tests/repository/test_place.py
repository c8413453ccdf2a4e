"""URIs of places: what they mean, and what is refused."""

from pathlib import Path

import pytest

from repository.errors import StoreUnsupported
from repository.place import FolderPlace, S3Place, parse_place


def test_folders():
    assert parse_place("file:///a%20folder") == FolderPlace(Path("/a folder"))
    assert parse_place("file://localhost/a").uri == "file:///a"


def test_buckets():
    assert parse_place("s3://bucket") == S3Place("bucket")
    assert parse_place("s3://bucket/") == parse_place("s3://bucket")
    assert parse_place("s3://bucket/pre/fix/").uri == "s3://bucket/pre/fix"
    assert parse_place("s3://bucket/p?lock=compliance&retention=36h") == S3Place(
        "bucket", "p", lock="compliance", retention_s=36 * 3600
    )


FULL = (
    "s3://my.bucket/pre/fix?endpoint=https://s3.example.org:8333&region=eu-central-1&profile=backup"
    "&addressing=path&ca=/etc/ca.pem&owner=123456789012&sse=aws:kms"
    "&sse-kms-key=arn:aws:kms:eu-central-1:123456789012:key/1234&class=STANDARD_IA&lock=governance&retention=30d"
)


def test_a_uri_has_one_form_and_leads_to_the_same_place():
    place = parse_place(FULL)
    assert place.uri == FULL
    head, _, query = FULL.partition("?")
    assert parse_place(head + "?" + "&".join(reversed(query.split("&")))) == place
    assert parse_place(place.uri) == place
    assert place != parse_place(FULL.replace("30d", "31d"))
    assert isinstance(place, S3Place)
    assert place.shown == "s3://my.bucket/pre/fix"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("endpoint=http://s3.example.org", "TLS"),
        ("endpoint=http://10.0.0.1:9000", "TLS"),
        ("endpoint=https://user:pw@host", "credentials"),
        ("endpoint=https://host/path", "endpoint"),
        ("endpoint=https://host:port", "endpoint"),
        ("endpoint=host", "endpoint"),
        ("endpoint=http://127.0.0.1:1&ca=/ca.pem", "certificates"),
        ("aws_access_key_id=AK", "does not belong"),
        ("secret-key=s", "does not belong"),
        ("session_token=s", "does not belong"),
        ("colour=red", "not an option"),
        ("region=a1&region=a2", "twice"),
        ("region", "option=value"),
        ("region=", "not a value"),
        ("region=EU", "not a value"),
        ("addressing=sideways", "not a value"),
        ("ca=relative.pem", "not a value"),
        ("owner=123", "not a value"),
        ("sse=rot13", "not a value"),
        ("sse-kms-key=k", "needs sse=aws:kms"),
        ("sse=AES256&sse-kms-key=k", "needs sse=aws:kms"),
        ("class=DEEP_ARCHIVE", "not a value"),
        ("class=GLACIER", "not a value"),
        ("lock=governance", "belong together"),
        ("retention=30d", "belong together"),
        ("lock=legal&retention=30d", "not a value"),
        ("lock=governance&retention=0d", "not a value"),
        ("lock=governance&retention=30", "not a value"),
        ("lock=governance&retention=999999d", "not a value"),
    ],
)
def test_options_that_mean_nothing_are_refused_with_a_remedy(query: str, says: str):
    with pytest.raises(StoreUnsupported) as caught:
        parse_place(f"s3://bucket/prefix?{query}")
    assert says in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    "uri",
    [
        "s3://",
        "s3:bucket",
        "s3:///prefix",
        "s3://ab",
        "s3://Bucket/x",
        "s3://a..b/x",
        "s3://bucket:80/x",
        "s3://key:secret@bucket/x",
        "s3://bucket/a//b",
        "s3://bucket/../x",
        "s3://bucket/a/./b",
        "s3://bucket/a b",
        "s3://bucket/a%0Ab",
        "s3://bucket/" + "x" * 501,
        "s3://bucket/x#y",
        "s3://bucket/x?" + "&".join(f"a{number}=1" for number in range(40)),
        "s3://bucket/" + "x" * 5000,
        "file:///a\n",
        "gs://bucket/x",
        "",
    ],
)
def test_other_uris_are_refused(uri: str):
    with pytest.raises(StoreUnsupported) as caught:
        parse_place(uri)
    assert caught.value.remedy
    assert "secret" not in caught.value.message


def test_plain_http_is_for_this_machine():
    for host in ("localhost", "127.0.0.1", "127.1.2.3", "[::1]"):
        parse_place(f"s3://bucket?endpoint=http://{host}:8333")
