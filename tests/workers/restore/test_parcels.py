"""Parcels of one segment: numbered, sealed to the requester, and put only where somebody still waits."""

import pytest

from crypto import notes
from crypto.parcel import ParcelTable
from tests.workers.restore.conftest import Reading
from workers.admission import Stray
from workers.restore.parcels import ParcelWriter, parcel_name
from workers.restore.session import RestoreSession


def writer(reading: Reading, session: RestoreSession) -> ParcelWriter:
    return ParcelWriter(session, reading.reporter(session.job), 0)


def table(text: bytes) -> ParcelTable:
    return ParcelTable((), (), text)


def test_each_has_the_next_number_and_is_told_of(reading: Reading) -> None:
    session = reading.session(reading.listing())
    session.open_delivery()
    made = writer(reading, session)
    for number in range(3):
        assert made.sequence == number
        made.deliver(table(b'{"n": %d}' % number), ())
    names = [parcel_name(session.job.id, 0, number) for number in range(3)]
    assert list(session.delivery.list(f"{session.job.id.hex()}/")) == names
    told = reading.notes(session.job)
    assert told == [notes.Parcel(0, number, session.delivery.size(names[number])) for number in range(3)]
    assert reading.lines(session, 3) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_one_that_an_earlier_delivery_brought_stays_and_is_told_again(reading: Reading) -> None:
    session = reading.session(reading.listing())
    session.open_delivery()
    writer(reading, session).deliver(table(b'{"n": 1}'), ())
    again = writer(reading, session)
    again.deliver(table(b'{"n": 2}'), ())
    assert again.sequence == 1
    assert reading.lines(session) == [{"n": 1}]
    assert len(reading.notes(session.job)) == 2


def test_nothing_is_put_for_who_has_gone(reading: Reading) -> None:
    session = reading.session(reading.listing())
    made = writer(reading, session)
    with pytest.raises(Stray):
        made.deliver(table(b"{}"), ())
    assert list(session.delivery.list("")) == []
    assert (made.sequence, reading.notes(session.job)) == (0, [])
