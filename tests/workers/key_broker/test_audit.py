import msgspec
import pytest

from workers.key_broker.audit import GENESIS, GRANTED, AuditBroken, Entry, Head, Row, link, verify_chain


def _chain(count: int) -> list[Row]:
    rows, previous = [], GENESIS
    for seq in range(1, count + 1):
        body = msgspec.json.encode(Entry(GRANTED, f"{seq:064x}"))
        previous = link(previous, seq, 1000 + seq, body)
        rows.append(Row(seq, 1000 + seq, body, previous))
    return rows


def _other_chain(count: int) -> list[Row]:
    """What somebody writes who has thrown the true log away: consistent in itself."""
    rows, previous = [], GENESIS
    for seq in range(1, count + 1):
        previous = link(previous, seq, 1000, b"{}")
        rows.append(Row(seq, 1000, b"{}", previous))
    return rows


def test_whole_chain_holds_and_tells_its_head() -> None:
    rows = _chain(5)
    assert verify_chain(rows) == Head(5, rows[-1].link)
    assert verify_chain([]) == Head(0, GENESIS)


def test_chain_passes_through_a_head_noted_earlier() -> None:
    rows = _chain(5)
    for seen in (Head(0, GENESIS), Head(3, rows[2].link), Head(5, rows[4].link)):
        verify_chain(rows, seen)


@pytest.mark.parametrize(
    "change",
    [{"body": b"{}"}, {"at_ms": 999}, {"link": bytes(32)}, {"seq": 4}],
    ids=lambda change: next(iter(change)),
)
def test_altered_entry_is_found(change: dict[str, object]) -> None:
    rows = _chain(5)
    rows[2] = msgspec.structs.replace(rows[2], **change)
    with pytest.raises(AuditBroken, match="entry 3"):
        verify_chain(rows)


def test_removed_entry_is_found() -> None:
    rows = _chain(5)
    with pytest.raises(AuditBroken, match="entry 3 is missing"):
        verify_chain(rows[:2] + rows[3:])


def test_swapped_entries_are_found() -> None:
    rows = _chain(5)
    rows[1], rows[2] = rows[2], rows[1]
    with pytest.raises(AuditBroken):
        verify_chain(rows)


def test_cut_tail_and_rewritten_log_are_found_against_a_noted_head() -> None:
    rows = _chain(5)
    noted = Head(5, rows[4].link)
    verify_chain(rows[:4])
    verify_chain(_other_chain(6))
    with pytest.raises(AuditBroken, match="noted"):
        verify_chain(rows[:4], noted)
    with pytest.raises(AuditBroken, match="noted"):
        verify_chain(_other_chain(6), noted)


def test_entry_that_cannot_be_read_is_told() -> None:
    with pytest.raises(AuditBroken):
        Row(1, 1, b"not json", GENESIS).entry()
