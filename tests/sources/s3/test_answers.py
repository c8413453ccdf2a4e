"""What answers in place of a bucket that is backed up: no wrong byte gets into a snapshot, and no lie makes work."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from config.settings import StoreSettings
from repository.errors import StoreError, StoreUnreachable, StoreUnsupported
from repository.s3.client import forget_clients
from sources.patterns import Patterns
from sources.s3.objects import MAX_OBJECT, ObjectSource
from sources.s3.read import PIECE
from sources.source import Found, Note, ReadItem, Replaced, SourceError, Wanted
from tests.evil import Asked, EvilServer, answer, evil
from tests.repository.s3.test_answers import page
from tests.sources.s3.conftest import Bytes

QUICK = StoreSettings(connect_timeout_s=1.0, read_timeout_s=1.0, deadline_s=0.5, parallel=2)
SIZE = 2 * PIECE + 1000
OLD, NEW = b"o" * SIZE, b"n" * SIZE
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


@pytest.fixture(autouse=True)
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("STRONGROOM_S3_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("STRONGROOM_S3_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    forget_clients()
    yield
    forget_clients()


def source_of(server: EvilServer) -> ObjectSource:
    return ObjectSource([f"s3://bucket/p?endpoint={server.url}&region=us-east-1"], QUICK)


def walked(server: EvilServer) -> tuple[list[Found], list[Note]]:
    errors: list[Note] = []
    tell = lambda path, why: errors.append((path, why))  # noqa: E731
    return list(source_of(server).walk(Patterns(), tell, tell)), errors


def listing(asked: Asked, *entries: bytes) -> Iterable[bytes]:
    """The entries for whoever lists below p/, and nothing for who asks whether there is an object p."""
    return entries if asked.option("prefix") == "p/" or asked.option("max-keys") == "1" else [page()]


def span(asked: Asked) -> tuple[int, int]:
    first, _, last = asked.headers["range"].removeprefix("bytes=").partition("-")
    return int(first), min(int(last) + 1, SIZE)


def piece(asked: Asked, data: bytes, **headers: str) -> bytes:
    begin, end = span(asked)
    return answer(
        data[begin:end],
        "206 Partial Content",
        **{
            "ETag": '"e"',
            "Last_Modified": DATE,
            "Content_Range": f"bytes {begin}-{end - 1}/{SIZE}",
        }
        | headers,
    )


def read(server: EvilServer) -> tuple[bytes, ReadItem]:
    (found,), errors = walked(server)
    assert not errors
    sink = Bytes()
    with source_of(server).reader() as reader:
        item = reader.read(Wanted(found.path, found.size, found.stamp), sink)
    return bytes(sink.data), item


def objects(asked: Asked, get: Callable[[Asked], bytes]) -> Iterable[bytes]:
    if asked.option("list-type"):
        return listing(asked, page("p/a", size=SIZE))
    return [get(asked)]


def whole_length(asked: Asked) -> bytes:
    """All of it from the beginning, and no word of a range."""
    return answer(OLD, ETag='"e"', Last_Modified=DATE)


def test_an_object_in_pieces_comes_back_as_it_is() -> None:
    """The control: a server that is honest."""
    with evil(lambda asked: objects(asked, lambda asked: piece(asked, OLD))) as server:
        assert read(server)[0] == OLD


LIES: dict[str, Callable[[Asked], bytes]] = {
    "the condition is ignored": lambda asked: (
        piece(asked, NEW, ETag='"e2"') if span(asked)[0] else piece(asked, OLD)
    ),
    "every range is from the beginning": lambda asked: piece(
        asked,
        OLD,
        Content_Range=f"bytes 0-{span(asked)[1] - span(asked)[0] - 1}/{SIZE}",
    ),
    "no word of a range": lambda asked: (
        piece(asked, OLD, Content_Range="") if span(asked)[0] else piece(asked, OLD)
    ),
    "more bytes than the range has": lambda asked: piece(
        asked, OLD, Content_Range=f"bytes {span(asked)[0]}-{span(asked)[0] + 3}/{SIZE}"
    ),
    "no ETag": lambda asked: piece(asked, OLD, ETag=""),
    "no ETag later": lambda asked: piece(asked, OLD, ETag="") if span(asked)[0] else piece(asked, OLD),
    "no date": lambda asked: piece(asked, OLD, Last_Modified=""),
    "a date before all": lambda asked: piece(asked, OLD, Last_Modified="Thu, 01 Jan 1000 00:00:00 GMT"),
    "no length": lambda asked: piece(asked, OLD, Content_Length=""),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", LIES)
def test_nothing_but_the_bytes_that_were_asked_for_is_taken(name: str) -> None:
    with (
        evil(lambda asked: objects(asked, LIES[name])) as server,
        pytest.raises((SourceError, StoreError)) as caught,
    ):
        read(server)
    assert caught.value.message


def test_pieces_of_two_objects_do_not_become_one() -> None:
    with (
        evil(lambda asked: objects(asked, LIES["the condition is ignored"])) as server,
        pytest.raises(Replaced),
    ):
        read(server)


def test_a_server_without_ranges_is_refused() -> None:
    with (
        evil(lambda asked: objects(asked, LIES["every range is from the beginning"])) as server,
        pytest.raises(StoreUnsupported, match="ranges"),
    ):
        read(server)


@pytest.mark.parametrize("size", [-1, MAX_OBJECT + 1, 9 * 10**18, 10**19, 10**40])
def test_a_size_that_no_object_has_is_named_and_left_out(size: int) -> None:
    pages = page("p/a", "p/b").replace(b"<Size>1</Size>", f"<Size>{size}</Size>".encode(), 1)
    whole = answer(pages.partition(b"\r\n\r\n")[2])
    with evil(lambda asked: listing(asked, whole)) as server:
        found, errors = walked(server)
    assert [each.path.rpartition(b"/")[2] for each in found] == [b"b"]
    assert [(path.rpartition(b"/")[2], "size" in why) for path, why in errors] == [(b"a", True)]


@pytest.mark.timeout(60)
def test_a_listing_that_drips_ends() -> None:
    with (
        evil(lambda asked: server.drip(answer(b"<ListBucketResult>" + b" " * 1000))) as server,
        pytest.raises(StoreUnreachable),
    ):
        walked(server)


CIRCLES: dict[str, Callable[[Asked], bytes]] = {
    "empty pages": lambda asked: page(more="t"),
    "no token": lambda asked: page("p/a", truncated=True),
    "the same page": lambda asked: page("p/a", more="t"),
    "pages in turn": lambda asked: page(
        "p/a", more="b" if asked.option("continuation-token") == "a" else "a"
    ),
    "other keys": lambda asked: page("q/a"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", CIRCLES)
def test_a_listing_in_circles_is_refused(name: str) -> None:
    with evil(lambda asked: [CIRCLES[name](asked)]) as server, pytest.raises(StoreUnsupported):
        walked(server)


@pytest.mark.parametrize("name", ["LastModified", "Size", "Key"])
def test_an_entry_without_one_of_its_parts_is_an_error(name: str) -> None:
    head, _, body = page("p/a").partition(b"\r\n\r\n")
    assert head
    cut = re.sub(f"<{name}>.*</{name}>".encode(), b"", body)
    with (
        evil(lambda asked: listing(asked, answer(cut))) as server,
        pytest.raises(StoreUnreachable, match="none of S3"),
    ):
        walked(server)
