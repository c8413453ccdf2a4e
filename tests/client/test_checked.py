"""The words for a check's result."""

import pytest

from client.arguments import read_subset
from client.checked import extended_line, extended_numbers, last_line, show
from client.errors import BadArgument
from client.output import summary
from crypto.job import Subset

GOOD = {
    "errors": 0,
    "read": "structure",
    "snapshots": 1,
    "manifests": 1,
    "packs": 0,
    "pack_bytes": 0,
    "chunks_read": 0,
    "packs_read": 0,
    "bytes_read": 0,
    "problems": [],
}


@pytest.mark.parametrize(
    ("text", "subset"),
    [
        ("1/1", Subset(part=1, parts=1)),
        ("3/10", Subset(part=3, parts=10)),
        ("5%", Subset(share=50_000)),
        ("0.0001%", Subset(share=1)),
        ("100%", Subset(share=1_000_000)),
        ("1K", Subset(size=1 << 10)),
        ("50M", Subset(size=50 << 20)),
        ("2T", Subset(size=2 << 40)),
    ],
)
def test_a_part_of_the_data_can_be_asked_for(text: str, subset: Subset) -> None:
    assert read_subset(text) == subset


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0/3",
        "4/3",
        "1/0",
        "1/9999999",
        "0%",
        "101%",
        "-5%",
        "0.00001%",
        "0",
        "5",
        "0K",
        "5X",
        "5GG",
        "all",
        "1e3",
        "٣%",
    ],
)
def test_what_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadArgument):
        read_subset(text)


@pytest.mark.parametrize(
    ("objects", "advice"),
    [
        (["manifests/00", "chunk 22"], "next: back up the same paths again"),
        (["manifests/00", "index/11", "chunk 22"], "remove the index objects"),
        (["manifests/00", "packs/11/1122"], "from a copy"),
        (["keys/dek-00000001"], "from a copy"),
    ],
)
def test_the_advice_is_for_what_is_damaged(objects: list[str], advice: str) -> None:
    found = GOOD | {"errors": len(objects), "problems": [{"object": each} for each in objects]}
    assert advice in last_line(found)


def test_what_a_prune_removed_and_is_there_again_has_advice_of_its_own() -> None:
    problems = [
        {"object": "packs/11/1122", "error": "a prune removed it; what was brought back is not used: x"}
    ]
    assert "remove the sweeps that are named" in last_line(GOOD | {"errors": 1, "problems": problems})


def test_much_damage_is_told_in_part_and_counted_whole(capsys: pytest.CaptureFixture[str]) -> None:
    touches = [{"snapshot": "ab" * 16, "first": f"/{n}", "last": f"/{n}"} for n in range(30)]
    touches.append({"snapshot": "ab" * 16, "first": "/\x1b[31m", "last": "/z"})
    problems = [{"object": f"packs/{n}", "error": "gone", "touches": touches} for n in range(150)]
    losses = [{"snapshot": f"{n:032x}", "time_ns": n, "files": 1, "of": 2} for n in range(40)]
    show(GOOD | {"errors": 900, "problems": problems, "losses": losses, "snapshots_touched": 70})
    told = capsys.readouterr()
    assert "and 11 more paths" in told.err and "and 800 more problems" in told.err
    assert told.err.count("gone") == 100
    assert "and 50 more snapshots" in told.out
    assert told.out.splitlines()[-1].startswith("DAMAGED: 900 problems; 70 of 1 snapshot cannot")


def test_paths_are_shown_without_their_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    touch = {"snapshot": "ab" * 16, "first": "/\x1b[31m", "last": "/z"}
    show(GOOD | {"errors": 1, "problems": [{"object": "manifests/0", "error": "gone", "touches": [touch]}]})
    assert "everything from /\\x1b[31m to /z" in capsys.readouterr().err


def test_hidden_snapshots_are_told_and_so_is_not_knowing(capsys: pytest.CaptureFixture[str]) -> None:
    show(GOOD | {"hidden": 2, "hidden_snapshots": ["ab" * 16, "cd" * 16]})
    assert "2 snapshots: abababababab cdcdcdcdcdcd" in capsys.readouterr().err
    show(GOOD | {"hidden": None})
    assert "may not list versions" in capsys.readouterr().err
    show(GOOD | {"hidden": 0, "forgotten": 1})
    told = capsys.readouterr()
    assert told.err == ""
    assert "1 snapshot, hidden by delete markers or by a prune" in told.out


def test_an_extension_of_locks_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    done = {"verdict": "extended", "extended": 1, "left": 2, "missing": 0, "unreadable": 0, "seconds": 0.5}
    summary(extended_numbers(done | {"hidden": None, "kms_calls": 1, "hidden_newest": 0}))
    told = capsys.readouterr().out
    assert "locked for long enough  2" in told
    assert "hidden snapshots  not known" in told
    assert "0.5 s, 1 KMS calls" in told
    assert "_" not in told


def test_an_extension_of_locks_ends_with_a_verdict() -> None:
    done = {"verdict": "extended", "extended": 1, "left": 2, "missing": 0, "unreadable": 0, "hidden": 0}
    assert extended_line(done).startswith(
        "all is well: 3 objects that the snapshots need are locked, 1 of them"
    )
    wrong = done | {"verdict": "incomplete", "missing": 1, "hidden_newest": 2}
    told = extended_line(wrong)
    assert "needed and missing: 1 object;" in told
    assert "hidden and newer than all others, so that everything was extended: 2 snapshots;" in told
    assert told.startswith("INCOMPLETE: ")
