"""`strongroom find`."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import click

from client.answer import Line, answered
from client.arguments import LATEST, moment, patterns, snapshot_filter, snapshot_name
from client.entries import entry_fields, entry_words
from client.filters import filter_options
from client.find import Findings, Found
from client.installation import Installation
from client.listing import path_of
from client.output import (
    EXIT_INCOMPLETE,
    JsonArray,
    json_line,
    json_option,
    print_lines,
    shown,
    tell_paths,
    time_of_ns,
    to_the_second,
)
from client.session import open_session
from crypto import job as jobs


@click.command(epilog='Example: strongroom find documents "*.odt" --newest 2026-01-31 --long')
@click.argument("vault")
@click.argument("texts", metavar="PATTERN...", nargs=-1, required=True)
@click.option(
    "-s", "--snapshot", "names", multiple=True, metavar="ID", help="Only in this snapshot (repeatable)."
)
@filter_options
@click.option("-O", "--oldest", metavar="DATE", help="Only what was last changed on DATE or later.")
@click.option("-N", "--newest", metavar="DATE", help="Only what was last changed on DATE or earlier.")
@click.option("-i", "--ignore-case", is_flag=True, help="Capitals and small letters are the same.")
@click.option("-l", "--long", "as_long", is_flag=True, help="With mode, owner, size and time.")
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - one for each option
    ctx: click.Context,
    *,
    vault: str,
    texts: tuple[str, ...],
    names: tuple[str, ...],
    hosts: tuple[str, ...],
    tags: tuple[str, ...],
    paths: tuple[str, ...],
    oldest: str | None,
    newest: str | None,
    ignore_case: bool,
    as_long: bool,
    as_json: bool,
) -> None:
    """Find which snapshots of VAULT have paths that match a PATTERN, the newest first.

    Patterns are those of `restore --include`: what matches, matches with everything below it. A pattern that begins
    with / is tied to the root, and then nothing beside its fixed beginning is read. Dates are those of the files.
    """
    installation = Installation.open()
    entry = installation.vault(vault)
    wanted = patterns(texts)
    only = tuple(snapshot_name(name) for name in names)
    chosen = snapshot_filter(hosts, tags, paths, LATEST if LATEST in only or not only else only[0])
    times = (moment(oldest) if oldest else None, moment(newest) if newest else None)

    def make_spec(requester: bytes, area: str) -> jobs.Spec:
        return jobs.FindSpec(entry.repo, requester, wanted, ignore_case, only, area, chosen, *times)

    with open_session(installation) as session, answered(session, jobs.FIND, entry, make_spec) as answer:
        findings = Findings(answer)
        lost = _print_json(findings) if as_json else _print_words(findings, as_long)
    tell_paths("These cannot be read, and may hold more:", lost)
    tell_paths("These snapshots cannot be opened:", [(name.encode(), why) for name, why in findings.damaged])
    ctx.exit(EXIT_INCOMPLETE if lost or findings.damaged else 0)


def _print_words(findings: Findings, as_long: bool) -> list[tuple[bytes, str]]:
    lost: dict[bytes, str] = {}
    texts = _words(findings, lost, entry_words if as_long else lambda line: shown(path_of(line)))
    first = next(texts, None)
    if first is None:
        click.echo("nothing matches", err=True)
    else:
        print_lines(chain((first,), texts))
    return sorted(lost.items())


def _words(findings: Findings, lost: dict[bytes, str], words: Callable[[Line], str]) -> Iterator[str]:
    said = False
    for found in findings:
        begun = False
        for line in _kept(found.matches, lost):
            if not begun:
                blank = "\n" if said else ""
                yield f"{blank}{_heading(found)}"
                begun = said = True
            yield words(line)


def _heading(found: Found) -> str:
    when = to_the_second(time_of_ns(found.time_ns))
    return f"snapshot {found.snapshot[:12]} of {when} from {shown(found.hostname)}"


def _print_json(findings: Findings) -> list[tuple[bytes, str]]:
    lost: dict[bytes, str] = {}
    with JsonArray() as array:
        for found in findings:
            count = 0
            head = {
                "snapshot": found.snapshot,
                "time": time_of_ns(found.time_ns),
                "hostname": found.hostname,
            }
            array.begin(json_line(head)[:-1] + ', "matches": [')
            for line in _kept(found.matches, lost):
                array.inner(json_line(entry_fields(line)))
                count += 1
            array.end(f'], "hits": {count}}}')
    return sorted(lost.items())


def _kept(matches: Iterable[Line], lost: dict[bytes, str]) -> Iterable[Line]:
    for line in matches:
        if "lost" in line:
            lost[path_of(line)] = str(line["lost"])
        else:
            yield line
