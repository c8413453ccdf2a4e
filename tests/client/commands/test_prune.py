"""What `strongroom prune` takes for a share, before anything is asked of anybody."""

import pytest
from click.testing import CliRunner

from client.commands.prune import command


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
