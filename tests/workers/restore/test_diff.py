"""The difference of two snapshots as it is delivered: its lines, its sums, and how little is read for it."""

import json
from typing import Any

import pytest

from crypto import canonical, notes
from crypto.certificate import ProcessSigned
from repository.layout import manifest_name
from tests.client.deliveries import now_ms
from tests.workers.restore.conftest import Reading
from workers.restore.choose import NoSuchPath
from workers.restore.diff import diff
from workers.restore.session import NoSuchSnapshot, RestoreSession, WrongSpec

ONE, TWO = f"{1:032x}", f"{2:032x}"


def outcome(reading: Reading, session: RestoreSession) -> dict[str, Any]:
    (done,) = reading.reports()
    signed = canonical.decode(ProcessSigned, done.outcome)
    note = notes.read_note(reading.registry, signed, session.job.id, reading.opening, now_ms())
    assert isinstance(note, notes.Outcome)
    told: dict[str, Any] = json.loads(note.json)
    return told


def compare(reading: Reading, first: str = ONE, second: str = TWO, path: bytes = b"") -> RestoreSession:
    session = reading.session(reading.comparison(first, second, path))
    diff(session, reading.reporter(session.job))
    return session


def test_what_differs_is_told_in_path_order_with_its_sums(reading: Reading) -> None:
    reading.repo.backup({b"/changed": b"old", b"/gone": b"1234", b"/same": b"same"}, 1)
    reading.repo.backup({b"/changed": b"newer", b"/new": b"12345678", b"/same": b"same"}, 2)
    session = compare(reading)
    assert [(line["modifier"], line["path"], line["size"]) for line in reading.lines(session)] == [
        ("M", "/changed", 5),
        ("-", "/gone", 4),
        ("+", "/new", 8),
    ]
    told = outcome(reading, session)
    assert (told["first"], told["second"], told["changed_files"]) == (ONE, TWO, 1)
    assert (told["added"]["files"], told["removed"]["files"]) == (1, 1)


def test_what_both_share_is_not_read(reading: Reading) -> None:
    shared = reading.repo.backup({b"/a": b"shared"}, 1).manifests[0]
    other = reading.repo.backup({b"/b": b"more"}, 9).manifests[0]
    reading.repo.commit([shared, other], 2)
    reading.repo.store.delete(manifest_name(shared.id))
    session = compare(reading)
    assert [line["path"] for line in reading.lines(session)] == ["/b"]
    told = outcome(reading, session)
    assert (told["manifests"], told["manifests_read"]) == (3, 1)


def test_without_a_difference_there_is_no_line(reading: Reading) -> None:
    for number in (1, 2):
        reading.repo.backup({b"/a": b"same"}, number)
    session = compare(reading)
    assert list(session.delivery.list("")) == []
    assert outcome(reading, session)["changed_files"] == 0


def test_only_what_is_below_the_path_is_compared(reading: Reading) -> None:
    reading.repo.backup({b"/a/x": b"1", b"/b/x": b"1"}, 1)
    reading.repo.backup({b"/a/x": b"2", b"/b/x": b"2"}, 2)
    assert [line["path"] for line in reading.lines(compare(reading, path=b"/b"))] == ["/b/x"]


def test_a_path_that_neither_has_is_an_error_and_one_that_does_not_differ_is_none(reading: Reading) -> None:
    refs = reading.repo.backup({b"/a": b"same"}, 1).manifests
    reading.repo.commit(refs, 2)
    compare(reading, path=b"/a")
    with pytest.raises(NoSuchPath, match="neither") as refused:
        compare(reading, path=b"/none")
    assert "strongroom ls" in refused.value.remedy


def test_what_is_no_comparison_is_refused(reading: Reading) -> None:
    reading.repo.backup({b"/a": b"x"}, 1)
    session = reading.session(reading.listing())
    with pytest.raises(WrongSpec):
        diff(session, reading.reporter(session.job))
    with pytest.raises(NoSuchSnapshot):
        compare(reading, ONE, "ffff")
    assert reading.sent == []
