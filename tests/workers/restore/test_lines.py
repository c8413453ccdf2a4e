"""Answers in lines: cut into parcels of bounded size, findable again, and readable whatever a source wrote."""

import json

import pytest

from repository.errors import ObjectDamaged
from repository.manifest import Entry
from tests.client.deliveries import meta
from tests.workers.restore.conftest import Reading
from workers.restore import lines as module
from workers.restore.lines import LineWriter, Place, damaged_line, entry_line, json_line
from workers.restore.parcels import ParcelWriter
from workers.restore.session import RestoreSession


@pytest.fixture
def session(reading: Reading) -> RestoreSession:
    opened = reading.session(reading.listing())
    opened.open_delivery()
    return opened


@pytest.fixture
def writer(reading: Reading, session: RestoreSession) -> LineWriter:
    return LineWriter(ParcelWriter(session, reading.reporter(session.job), 0))


@pytest.mark.parametrize(("most", "size", "parcels"), [(3, 1 << 20, 3), (100, 16, 4), (100, 1 << 20, 1)])
def test_a_parcel_has_so_many_lines_and_so_many_bytes(
    reading: Reading,
    session: RestoreSession,
    writer: LineWriter,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    size: int,
    parcels: int,
) -> None:
    monkeypatch.setattr(module, "LINES_PER_PARCEL", most)
    monkeypatch.setattr(module, "BYTES_PER_PARCEL", size)
    for number in range(8):
        writer.add(json_line({"n": number}))
    assert writer.flush() == parcels
    assert [line["n"] for line in reading.lines(session, parcels)] == list(range(8))
    assert writer.flush() == parcels, "what there is not is not delivered"


def test_places_say_where_the_lines_are(
    reading: Reading, session: RestoreSession, writer: LineWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINES_PER_PARCEL", 3)
    numbered = [json_line({"n": number}) for number in range(9)]
    found = [
        writer.place(numbered[:2]),
        writer.place(numbered[2:7]),
        writer.place([]),
        writer.place(numbered[7:]),
    ]
    count = writer.flush()
    assert found == [
        [Place(0, 0, 2)],
        [Place(0, 2, 1), Place(1, 0, 3), Place(2, 0, 1)],
        [],
        [Place(2, 1, 2)],
    ]
    delivered = reading.lines(session, count)
    for places, expected in zip(found, ([0, 1], [2, 3, 4, 5, 6], [], [7, 8]), strict=True):
        got = [delivered[3 * each.parcel + each.first + n]["n"] for each in places for n in range(each.lines)]
        assert got == expected


@pytest.mark.parametrize("path", [b"/a", b"/\xff\xfe", b"/new\nline", "/ümlaut".encode()])
def test_any_path_is_one_line_and_comes_back(path: bytes) -> None:
    line = entry_line(Entry(path, "f", 7, b"", meta("f")))
    assert b"\n" not in line
    told = json.loads(line)
    assert told["path"].encode("utf-8", "surrogateescape") == path
    assert (told["type"], told["size"], told["mode"] & 0o777) == ("file", 7, 0o644)


@pytest.mark.parametrize("damaged", [b"", b"noise", meta("f")[:-1]])
def test_metadata_that_cannot_be_read_does_not_hide_the_entry(damaged: bytes) -> None:
    told = json.loads(entry_line(Entry(b"/a", "f", 7, b"", damaged)))
    assert (told["path"], told["size"]) == ("/a", 7)
    assert told["error"]


def test_a_snapshot_that_cannot_be_opened_is_named() -> None:
    assert json.loads(damaged_line("snapshots/abcd", ObjectDamaged("cut short"))) == {
        "id": "abcd",
        "error": "cut short",
    }
