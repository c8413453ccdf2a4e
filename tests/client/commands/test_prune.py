"""What `strongroom prune` takes for a share, before anything is asked of anybody."""

from typing import Any

import pytest
from click.testing import CliRunner

from client.commands.prune import command, show


def said(share: str) -> str:
    done = CliRunner().invoke(command, ["--max-unused", share])
    assert done.exit_code == 2
    return done.output


@pytest.mark.parametrize("share", ["0", "0%", "5%", "0.5%", "12.25", "100", "100%"])
def test_a_share_is_a_percentage(share: str) -> None:
    assert "Missing argument 'VAULT'" in said(share), "that is what comes next"


OUTSIDE = ["nan", "NaN%", "inf", "-inf", "-1", "-0", "100.1", "101%", "1000"]
NO_PERCENTAGE = ["", "%", "5%%", "half", "5GB", "1/2", ".5", "5.", " 5", "5 %"]
OTHER_NOTATION = ["0x5", "1e1", "1_0", "\u0665"]


@pytest.mark.parametrize("share", [*OUTSIDE, *NO_PERCENTAGE, *OTHER_NOTATION])
def test_what_is_no_share_is_refused(share: str) -> None:
    assert "is no share of 0% to 100%: write such as 5%" in said(share)


FOUND = {
    "snapshots": 3,
    "packs": 2,
    "bytes": 4_000_000,
    "manifests": 1,
    "packs_left": 7,
    "seconds": 0.5,
    "kms_calls": 2,
}
SWEPT = FOUND | {"dry_run": False, "index_objects": 1, "uploads": 0}
TRIED = FOUND | {"dry_run": True, "repack_packs": 1, "repack_bytes": 500, "repack_frees": 1_000_000}


@pytest.mark.parametrize(
    ("found", "last"),
    [
        (SWEPT, "2 packs and 1 manifest that no snapshot needs are removed: 4.0 MB freed"),
        (TRIED, "nothing was removed: a prune would remove 2 packs and 1 manifest, and free 5.0 MB in all"),
    ],
)
def test_what_came_of_it_is_said_in_words(
    capsys: pytest.CaptureFixture[str], found: dict[str, Any], last: str
) -> None:
    show(found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == last
    assert any(line.strip().startswith("packs that stay  7") for line in lines)
    assert not any("_" in line or "False" in line for line in lines)
