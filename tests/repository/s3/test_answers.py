"""What answers in place of S3 may do: drip, never end, break off, lead in circles. Every one is a StoreError in time.

No test asserts how long one took: without the bounds these tests do not end, or end for want of memory.
"""

import resource
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from config.settings import StoreSettings
from repository.errors import RepositoryError, StoreUnreachable, StoreUnsupported
from repository.place import S3Place, parse_place
from repository.retry import RetryPolicy
from repository.s3 import client
from repository.s3.client import MAX_ANSWER, forget_clients
from repository.s3.pages import MAX_EMPTY, MAX_PAGES
from repository.s3.store import S3Pruner
from repository.s3.transfer import WHOLE
from repository.stores import open_reader
from tests.evil import Asked, EvilServer, answer, evil

ONCE = RetryPolicy(deadline_s=0.0)
QUICK = StoreSettings(connect_timeout_s=1.0, read_timeout_s=1.0, deadline_s=0.5, parallel=2)
MEMORY = 96 << 20
"""How much the process may grow by one answer; it is a small part of what the endless ones below would take."""

Script = Callable[[EvilServer, Asked], Iterable[bytes]]


def page(*keys: str, more: str = "", truncated: bool | None = None, size: object = 1) -> bytes:
    """A whole answer to ListObjectsV2; with a token when there are more."""
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f'<ETag>"e"</ETag><Size>{size}</Size></Contents>'
        for key in keys
    )
    token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    goes_on = str(bool(more) if truncated is None else truncated).lower()
    return answer(
        f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>{goes_on}</IsTruncated>'
        f"{token}{contents}</ListBucketResult>".encode()
    )


def joined(*parts: Iterable[bytes]) -> Iterator[bytes]:
    for part in parts:
        yield from part


NO_LENGTH = answer(b"", Content_Length="")
CHUNKED = answer(b"", Content_Length="", Transfer_Encoding="chunked")
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "'
    + b"a" * 100_000
    + b'"><!ENTITY b "'
    + b"&a;" * 50
    + b'">]><ListBucketResult><Name>'
    + b"&b;" * 20
    + b"</Name></ListBucketResult>"
)
SCRIPTS: dict[str, Script] = {
    "headers drip": lambda server, asked: server.drip(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 99, 0.2),
    "interim answers without end": lambda server, asked: server.endless(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body drips": lambda server, asked: server.drip(
        answer(b"<ListBucketResult>" + b" " * 1000, Accept_Ranges="bytes")
    ),
    "length of a chunk drips": lambda server, asked: joined([CHUNKED], server.drip(b"0" * 1000, 0.2)),
    "refusal drips": lambda server, asked: server.drip(answer(b"<Error>" + b" " * 1000, "400 Bad Request")),
    "body without end": lambda server, asked: joined([NO_LENGTH], server.endless(b" " * 65536)),
    "refusal without end": lambda server, asked: joined(
        [answer(b"", "503 Oh", Content_Length="")], server.endless(b" " * 65536)
    ),
    "cut": lambda server, asked: [
        answer(b"<ListBucketResult><Contents><Key>pa", Content_Length="1000")[
            : 5
            if asked.method == "HEAD"
            else -1  # which has no body to cut
        ]
    ],
    "nested": lambda server, asked: [answer(b"<a>" * 20_000, "400 Bad Request")],
    "no HTTP": lambda server, asked: [b"SSH-2.0-OpenSSH\r\n"],
    "nothing": lambda server, asked: [],
    "a redirect to itself": lambda server, asked: [
        answer(b"", "307 Temporary Redirect", Location=f"{server.url}{asked.target}")
    ],
    "a length that is none": lambda server, asked: [answer(b"x", Content_Length="x")],
    "a negative length": lambda server, asked: [answer(b"x", Content_Length="-5")],
    "a status that is none": lambda server, asked: [b"HTTP/1.1 abc OK\r\n\r\n"],
}
CALLS: dict[str, Callable[[S3Pruner], object]] = {
    "list": lambda store: list(store.list("")),
    "size": lambda store: store.size("config"),
    "get": lambda store: store.get("config", 1000),
    "get_range": lambda store: store.get_range("config", 3, 500),
    "put": lambda store: store.put("packs/aa/bb", [b"x"]),
    "put in parts": lambda store: store.put("packs/aa/bb", [bytes(WHOLE)]),
    "delete": lambda store: store.delete("config"),
    "extend": lambda store: store.extend("config"),
    "sweep": lambda store: store.sweep(1.0),
}


@pytest.fixture(autouse=True)
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("STRONGROOM_S3_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("STRONGROOM_S3_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    forget_clients()
    yield
    forget_clients()


def uri_of(server: EvilServer, **options: str) -> str:
    more = "".join(f"&{name}={value}" for name, value in options.items())
    return f"s3://bucket/p?endpoint={server.url}&region=us-east-1{more}"


def store_of(server: EvilServer, **options: str) -> S3Pruner:
    place = parse_place(uri_of(server, **options))
    assert isinstance(place, S3Place)
    return S3Pruner(place, QUICK, ONCE)


def grown() -> int:
    """The largest that this process ever was, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("call", CALLS)
def test_every_answer_of_a_store_is_an_error_of_ours(name: str, call: str) -> None:
    with evil(lambda asked: SCRIPTS[name](server, asked)) as server:
        store, before = store_of(server, lock="governance", retention="1d"), grown()
        with pytest.raises(RepositoryError) as caught:
            CALLS[call](store)
        assert caught.value.message
        assert grown() - before < MEMORY
        assert len(server.seen) <= 4


@pytest.mark.timeout(60)
def test_a_listing_through_the_decorators_ends_as_well() -> None:
    with (
        evil(lambda asked: SCRIPTS["body drips"](server, asked)) as server,
        pytest.raises(StoreUnreachable, match=r"slowly|Read timeout"),
    ):
        list(open_reader(uri_of(server), QUICK).list(""))


@pytest.mark.parametrize("name", ["body without end", "refusal without end"])
def test_the_error_says_that_an_answer_is_too_large_and_it_is_not_asked_for_again(name: str) -> None:
    with evil(lambda asked: SCRIPTS[name](server, asked)) as server:
        with pytest.raises(StoreUnsupported, match="larger than it may be") as caught:
            list(open_reader(uri_of(server), QUICK).list(""))
        assert "S3 server" in caught.value.remedy
        assert len(server.seen) == 1


def test_the_largest_listing_that_there_can_be_is_no_more_than_may_be() -> None:
    """A thousand keys of 1024 bytes, percent-encoded as botocore asks for."""
    whole = page(*(f"p/{number:04d}" + "%C3%BC" * 509 for number in range(1000)))
    assert MAX_ANSWER * 0.7 < len(whole) < MAX_ANSWER
    with evil(lambda asked: [whole]) as server:
        assert len(list(store_of(server).list(""))) == 1000


def test_declarations_are_refused_before_they_are_parsed() -> None:
    with evil(lambda asked: [answer(BOMB)]) as server:
        before = grown()
        with pytest.raises(StoreUnreachable, match="none of S3"):
            list(store_of(server).list(""))
        assert grown() - before < MEMORY


EMPTY_FOR_EVER = count()
CIRCLES: dict[str, Callable[[Asked], bytes]] = {
    "the same token": lambda asked: page(more="t"),
    "no token": lambda asked: page(truncated=True),
    "no token, with names": lambda asked: page("p/a", truncated=True),
    "the same token, with names": lambda asked: page("p/a", more="t"),
    "other tokens without end": lambda asked: page(more=f"t{next(EMPTY_FOR_EVER)}"),
    "two tokens in turn": lambda asked: page(more="b" if asked.option("continuation-token") == "a" else "a"),
    "names that were not asked for": lambda asked: page("q/a"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", CIRCLES)
def test_a_listing_that_does_not_get_on_is_refused(name: str) -> None:
    with evil(lambda asked: [CIRCLES[name](asked)]) as server:
        with pytest.raises(StoreUnsupported):
            list(store_of(server).list(""))
        assert len(server.seen) <= MAX_EMPTY + 2


def test_empty_pages_are_passed_over() -> None:
    """S3 gives some where much was removed under locks; a listing that ended there would hide the rest."""
    tokens = ["", "1", "2", "3"]
    pages = dict(
        zip(tokens, [page(more="1"), page("p/a", more="2"), page(more="3"), page("p/b")], strict=True)
    )
    with evil(lambda asked: [pages[asked.option("continuation-token")]]) as server:
        assert list(store_of(server).list("")) == ["a", "b"]


@pytest.mark.timeout(60)
def test_a_list_of_unfinished_uploads_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repository.s3.pages.MAX_PAGES", 20)
    assert MAX_PAGES > 20
    number = count()

    def uploads(asked: Asked) -> list[bytes]:
        markers = f"<NextKeyMarker>{next(number)}</NextKeyMarker><NextUploadIdMarker>x</NextUploadIdMarker>"
        return [
            answer(
                f"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>{markers}"
                "</ListMultipartUploadsResult>".encode()
            )
        ]

    with evil(uploads) as server:
        with pytest.raises(StoreUnsupported, match="no end"):
            store_of(server).sweep(1.0)
        assert len(server.seen) <= 21


MISSING: dict[str, tuple[str, Script]] = {
    "length": ("get", lambda server, asked: [answer(b"x", Content_Length="")]),
    "length of a range": ("get_range", lambda server, asked: [answer(b"x" * 500, Content_Length="")]),
    "length and range do not agree": (
        "get_range",
        lambda server, asked: [answer(b"x" * 500, "206 Some", Content_Range="bytes 3-1000/2000")],
    ),
    "a range beyond its object": (
        "get_range",
        lambda server, asked: [answer(b"x" * 500, "206 Some", Content_Range="bytes 3-502/400")],
    ),
    "a range that is none": (
        "get_range",
        lambda server, asked: [answer(b"x" * 500, "206 Some", Content_Range="lines 3-502/503")],
    ),
    "key of an entry": ("list", lambda server, asked: [page("p/a").replace(b"<Key>p/a</Key>", b"")]),
    "id of an upload": ("put in parts", lambda server, asked: [answer(b"<a></a>")]),
    "date of an upload": (
        "sweep",
        lambda server, asked: [
            answer(
                b"<ListMultipartUploadsResult><Upload><Key>p/a</Key></Upload></ListMultipartUploadsResult>"
            )
        ],
    ),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_from_an_answer_is_an_error_that_may_be_tried_again(name: str) -> None:
    call, script = MISSING[name]
    with (
        evil(lambda asked: script(server, asked)) as server,
        pytest.raises(StoreUnreachable, match="none of S3"),
    ):
        CALLS[call](store_of(server))


def test_an_etag_of_a_part_is_missing() -> None:
    def answers(asked: Asked) -> list[bytes]:
        if asked.method == "POST" and "uploads" in asked.target:
            return [
                answer(
                    b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
                )
            ]
        return [answer(b"")]

    with evil(answers) as server, pytest.raises(StoreUnreachable, match="none of S3"):
        store_of(server).put("packs/aa/bb", [bytes(WHOLE)])


def parts_then(end: Script) -> Script:
    def answers(server: EvilServer, asked: Asked) -> Iterable[bytes]:
        if asked.method == "PUT":
            if "expect" in asked.headers:
                return joined([b"HTTP/1.1 100 Continue\r\n\r\n"], [answer(b"", ETag='"e"')])
            return [answer(b"", ETag='"e"')]
        if asked.method == "POST" and "uploads" in asked.target:
            return [answer(b"<a><UploadId>u</UploadId></a>")]
        return end(server, asked)

    return answers


@pytest.mark.timeout(60)
def test_the_end_of_an_upload_may_take_its_time_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 sends spaces until all parts are joined."""
    done = b"<CompleteMultipartUploadResult><Key>p</Key></CompleteMultipartUploadResult>"
    slow = parts_then(lambda server, asked: joined([NO_LENGTH], server.drip(b" " * 25), [done]))
    with evil(lambda asked: slow(server, asked)) as server:
        store_of(server).put("packs/aa/bb", [bytes(WHOLE)])
    monkeypatch.setattr(client, "COMPLETING_S", 1.0)
    never = parts_then(lambda server, asked: joined([NO_LENGTH], server.drip(b" " * 1000)))
    with (
        evil(lambda asked: never(server, asked)) as server,
        pytest.raises(StoreUnreachable, match=r"slowly|Read timeout"),
    ):
        store_of(server).put("packs/aa/bb", [bytes(WHOLE)])


@pytest.mark.timeout(60)
def test_a_connection_that_ends_in_an_interim_answer_does_not_hang() -> None:
    """botocore reads lines until there is an empty one, also where there are none any more."""
    continued = parts_then(lambda server, asked: [])
    with (
        evil(
            lambda asked: (
                [b"HTTP/1.1 100 Continue\r\nX: y\r\n"] if asked.method == "PUT" else continued(server, asked)
            )
        ) as server,
        pytest.raises(StoreUnreachable),
    ):
        store_of(server).put("packs/aa/bb", [bytes(WHOLE)])


@pytest.mark.parametrize("how", ["variable", "variable of S3", "profile"])
def test_an_endpoint_that_is_not_in_the_uri_is_not_asked(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not passed the checks: in clear, everybody on the way would read the token of the session."""
    with evil(lambda asked: [page()]) as server:
        options = {}
        if how == "profile":
            (tmp_path / "config").write_text(f"[profile own]\nendpoint_url = {server.url}\n")
            (tmp_path / "none").write_text("[own]\naws_access_key_id = AK\naws_secret_access_key = x\n")
            options = {"profile": "own"}
        else:
            monkeypatch.setenv("AWS_ENDPOINT_URL" if how == "variable" else "AWS_ENDPOINT_URL_S3", server.url)
        more = "".join(f"&{name}={value}" for name, value in options.items())
        place = parse_place(f"s3://bucket/p?region=us-east-1{more}")
        assert isinstance(place, S3Place)
        assert client.client_of(place, QUICK).meta.endpoint_url.startswith("https://s3.")
        assert not server.seen
