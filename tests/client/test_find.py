"""Matches are put together again, snapshot by snapshot, from an answer in which each is only once."""

from pathlib import Path
from typing import Any

import pytest

from client.answer import ListingDamaged
from client.find import Findings
from tests.client.lines import answer_of, packed

PARCELS = [[{"path": f"/{parcel}/{number}"} for number in range(3)] for parcel in range(6)]


def findings(root: Path, *table: dict[str, Any], begins: Any = 6) -> Findings:
    listings = [packed(lines) for lines in (*PARCELS, table)]
    return Findings(answer_of(root, *listings, outcome={"table": begins}))


def taken(found: Findings) -> dict[str, list[str]]:
    return {each.snapshot: [str(line["path"]) for line in each.matches] for each in found}


def test_snapshots_that_share_matches_have_them_each(tmp_path: Path) -> None:
    found = findings(
        tmp_path,
        {"id": "new", "time_ns": 2, "hostname": "web1", "places": [[5, 0, 1], [0, 1, 2]]},
        {"id": "new", "places": [[3, 2, 1]]},
        {"id": "none", "time_ns": 1, "places": []},
        {"id": "old", "time_ns": 1, "places": [[0, 1, 2], [1, 0, 3], [2, 0, 1], [3, 0, 1], [4, 0, 1]]},
        {"id": "bad", "error": "damaged"},
    )
    assert taken(found) == {
        "new": ["/5/0", "/0/1", "/0/2", "/3/2"],
        "old": ["/0/1", "/0/2", "/1/0", "/1/1", "/1/2", "/2/0", "/3/0", "/4/0"],
    }
    assert found.damaged == [("bad", "damaged")]


@pytest.mark.parametrize(
    "place", [[0, 1], [0, 1, 2, 3], "012", 7, [-1, 0, 1], [0, -1, 1], [0, 0, "1"], [0, 0, 1.0], [7, 0, 1]]
)
def test_a_place_that_is_none_is_refused(tmp_path: Path, place: object) -> None:
    found = findings(tmp_path, {"id": "a", "time_ns": 1, "places": [[0, 0, 1], place]})
    matches = next(iter(found)).matches
    assert next(matches) == {"path": "/0/0"}
    with pytest.raises(ListingDamaged) as refused:
        list(matches)
    assert refused.value.remedy


@pytest.mark.parametrize("begins", [None, "6", -1, 1.5])
def test_an_answer_without_its_table_is_refused(tmp_path: Path, begins: object) -> None:
    with pytest.raises(ListingDamaged):
        taken(findings(tmp_path, {"id": "a", "places": []}, begins=begins))
