import click
import pytest
from click.testing import CliRunner

from client.errors import BadArgument
from client.policy import keep_policy, policy_options
from crypto.job import KeepPolicy


@click.command()
@policy_options
def command(**options: object) -> None:
    click.echo(repr(keep_policy(options)))


def policy(*words: str) -> str:
    done = CliRunner().invoke(command, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output.strip()


def test_options_make_a_policy():
    words = (
        "--keep-last",
        "3",
        "--keep-weekly",
        "unlimited",
        "--keep-within",
        "1y6m2d12h",
        "--keep-tag",
        "a,b",
    )
    assert policy(*words) == repr(KeepPolicy(last=3, weekly=-1, within=(1, 6, 2, 12), tags=(("a", "b"),)))
    assert policy() == repr(KeepPolicy())


@pytest.mark.parametrize("span", ["30", "d", "0d", "-1d", "30d1y", "1w", "123456d", "1 d"])
def test_what_is_no_span_is_refused(span: str):
    with pytest.raises(BadArgument):
        policy("--keep-within", span)


@pytest.mark.parametrize("count", ["-1", "x", "1.5", "1000001", "²"])
def test_what_is_no_count_is_refused(count: str):
    assert "Usage" in policy(f"--keep-daily={count}")


def test_an_empty_tag_is_refused():
    with pytest.raises(BadArgument):
        policy("--keep-tag", "a,")
