"""Which objects of which bucket a URI names."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import StoreSettings
from sources.s3.objects import ObjectSource
from sources.s3.place import AWS, MAX_PREFIX, NotAPlace, is_bucket, parse


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


KEY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda key: not key.startswith("/") and not key.endswith("/") and "\0" not in key
)


@given(KEY)
def test_a_prefix_may_hold_whatever_a_key_may_and_comes_back(prefix: str) -> None:
    found = parse(f"s3://bucket/{quote(prefix)}?region=eu-central-1")
    assert (found.prefix, found.folder) == (prefix, f"{prefix}/")
    assert parse(found.uri) == found
    assert found.uri.isascii()


def test_without_a_prefix_it_is_every_object() -> None:
    for uri in ("s3://bucket", "s3://bucket/", "s3://bucket?region=eu-central-1"):
        found = parse(uri)
        assert (found.prefix, found.folder, found.path) == ("", "", b"/s3:/bucket")
    assert found.path_to("a/b") == b"/s3:/bucket/a/b"


def test_the_server_is_told_by_its_host_and_port() -> None:
    assert parse("s3://bucket/a").server == AWS
    assert parse("s3://bucket/a?endpoint=https://s3.example:9000").server == "s3.example:9000"


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://bucket/{'x' * (MAX_PREFIX + 1)}",
        "s3://bucket/a?lock=governance&retention=1d",
        "s3://bucket/a?sse=AES256",
        "file:///bucket",
        "https://bucket/a",
        "s3:bucket",
        "",
    ],
)
def test_what_names_nothing_says_what_to_write(uri: str) -> None:
    with pytest.raises(NotAPlace) as refused:
        parse(uri)
    assert refused.value.remedy


def test_a_word_is_a_bucket_by_its_scheme_alone() -> None:
    assert is_bucket("s3://x")
    assert not is_bucket("/s3://x")
    assert not is_bucket("S3://x")
