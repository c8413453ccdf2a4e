"""What a check tells fits into one letter, however much is damaged."""

import json

import pytest

from crypto import canonical
from crypto.job import Subset
from repository.check import EVERYTHING, STRUCTURE, CheckReport, Reading
from repository.findings import Loss, Problem, Touched
from scheduler.reports import MAX_OUTCOME
from workers.maintenance.outcome import outcome_of

CLEAN = CheckReport([], [], *(0,) * 15)
LONG = b"/" + b"\xff" * 4095


def test_a_clean_vault() -> None:
    for reading, word in (
        (STRUCTURE, "structure"),
        (EVERYTHING, "all"),
        (Reading(data=True, subset=Subset(share=1)), "part"),
    ):
        told = json.loads(outcome_of(CLEAN, reading).json)
        assert (told["verdict"], told["read"], told["problems"], told["losses"]) == ("good", word, [], [])


@pytest.mark.parametrize(("problems", "touches"), [(1, 1000), (1000, 3), (10_000, 0)])
def test_what_there_is_room_for_is_told_and_all_is_counted(problems: int, touches: int) -> None:
    touched = [Touched(bytes(16), LONG, LONG)] * touches
    found = [Problem(f"packs/{number:034x}", "the pack is missing", touched) for number in range(problems)]
    losses = [Loss(number.to_bytes(16, "big"), 1, 1, 2) for number in range(2000)]
    report = CLEAN._replace(problems=found, losses=losses, found=problems + 5)
    outcome = outcome_of(report, STRUCTURE)
    assert len(canonical.encode(outcome)) < MAX_OUTCOME * 3 // 4
    told = json.loads(outcome.json)
    assert (told["verdict"], told["errors"], told["snapshots_touched"]) == ("damaged", problems + 5, 2000)
    assert told["problems"] and len(told["losses"]) > 100
    if touches:
        assert told["problems"][0]["touches"]
