"""The options that choose among snapshots, as every command takes them."""

import click
from click.testing import CliRunner

from client.filters import filter_options
from client.main import VERBS, group

CHOOSING = ("ls", "restore", "dump", "find", "forget", "snapshots")


@click.command()
@filter_options
def command(hosts: tuple[str, ...], tags: tuple[str, ...], paths: tuple[str, ...]) -> None:
    click.echo(repr((hosts, tags, paths)))


def test_each_can_be_given_again_and_keeps_its_order() -> None:
    words = ["--tag", "b,c", "--host", "h2", "--path", "/p", "--host", "h1", "--tag", "a"]
    assert CliRunner().invoke(command, words).output == "(('h2', 'h1'), ('b,c', 'a'), ('/p',))\n"
    assert CliRunner().invoke(command, []).output == "((), (), ())\n"


def test_every_command_that_chooses_among_snapshots_has_them_and_in_the_same_words() -> None:
    own = {option.name: option.to_info_dict() for option in command.params}
    for verb in VERBS:
        found = group.get_command(click.Context(group), verb)
        assert found is not None
        theirs = {option.name: option.to_info_dict() for option in found.params}
        has = own.items() <= theirs.items()
        assert has == (verb in CHOOSING), verb
