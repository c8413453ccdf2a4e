"""`python -m client.demo [SRC]`: the whole of Strongroom on one page, with real parts, in folders of its own.

Backs a folder up, again unchanged, lists, restores, compares every byte and all metadata, and shows what an onlooker
in the broker sees meanwhile. Everything it makes is in one temporary folder, which is gone in the end.
"""

import json
import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from client.compare import compare
from client.errors import ClientError
from client.installation import Installation, initialise
from client.job import Job
from client.listing import list_snapshots
from client.onlooker import Onlooker, Sighting
from client.output import shown, size, table, time_of_ns, to_the_second
from client.restore.run import Restore, Restored
from client.restore.target import FolderTarget
from client.restore.wanted import Wanted
from client.session import Session, open_session
from client.vaults import create_vault
from config.errors import StrongroomError
from config.home import Home
from crypto import job as jobs
from crypto.registry import VaultEntry

SHOWN: Final = 100
"""Characters of each sighting that are printed."""
NAMED: Final = 20
"""So many differences are printed."""
INSTALLED: Final = ("site-packages", "dist-packages")
"""What is below the standard library and not part of it."""


class DemoFailed(ClientError):
    """Something is not the same after the restore, or a name was seen in the broker."""


class Step(NamedTuple):
    """A line of the closing table."""

    what: str
    files: int
    byte_count: int
    stored: int
    seconds: float
    kms_calls: int
    messages: int


@click.command()
@click.argument("source", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--source", "option", type=click.Path(exists=True, file_okay=False, path_type=Path))
def demo(source: Path | None, option: Path | None) -> None:
    """Back SOURCE up (default: Python's standard library), restore it, compare, and show the broker's view."""
    chosen = source or option
    excludes = () if chosen else INSTALLED
    tree = (chosen or Path(sysconfig.get_path("stdlib"))).resolve()
    # Nothing here may write compiled files into the very folder that is being compared.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    try:
        with tempfile.TemporaryDirectory(prefix="strongroom-demo-") as folder:
            _run(Path(folder), tree, excludes)
    except StrongroomError as error:
        click.echo(f"strongroom: {error.message}\n  -> {error.remedy}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(folder: Path, source: Path, excludes: tuple[str, ...]) -> None:
    home = Home(folder / "home")
    initialise(home)
    _say("A new home, with one identity for each role, and a local KMS whose master key no worker ever sees.")
    vault = create_vault(
        Installation.open(home), "demo", (folder / "repository").as_uri(), "local-kms://demo"
    ).entry
    _say(f"A vault in {folder / 'repository'}; its data key was wrapped by the KMS.")
    with open_session(Installation.open(home)) as session:
        _say(
            f"The stack is up after {session.seconds_to_start:.1f} s: broker, scheduler, key-broker, workers."
        )
        _Demo(session, vault, source, excludes, folder).run()
    _say("The stack is down, and the folder is gone.")


class _Demo:
    def __init__(
        self, session: Session, vault: VaultEntry, source: Path, excludes: tuple[str, ...], folder: Path
    ) -> None:
        self._session, self._vault, self._folder = session, vault, folder
        self._source, self._excludes = source, excludes
        self._onlooker = Onlooker(session.broker_url, folder / "notebook")
        self._steps: list[Step] = []

    def run(self) -> None:
        with self._onlooker.watching():
            self._back_up("backup")
            self._back_up("again, unchanged")
            for line in list_snapshots(self._session, self._vault):
                _say(
                    f"Snapshot {line['id'][:12]} of {to_the_second(time_of_ns(line['time_ns']))}: "
                    f"{line['files']} files, {size(line['bytes'])}"
                )
            self._restore()
        self._compare()
        self._show_onlooker()
        click.echo()
        table(
            ("STEP", "FILES", "BYTES", "STORED", "SECONDS", "KMS CALLS", "MESSAGES"),
            [
                (
                    step.what,
                    step.files,
                    size(step.byte_count),
                    size(step.stored),
                    f"{step.seconds:.2f}",
                    step.kms_calls,
                    step.messages,
                )
                for step in self._steps
            ],
        )

    def _back_up(self, what: str) -> None:
        def make_spec(requester: bytes) -> jobs.Spec:
            paths = (os.fsencode(self._source),)
            return jobs.BackupSpec(self._vault.repo, requester, paths, self._excludes, ("demo",), "demo")

        before = self._messages()
        finished = Job(self._session, jobs.BACKUP, self._vault.id, make_spec).run()
        result: dict[str, Any] = json.loads(finished.json)
        _name(finished.errors)
        self._steps.append(
            Step(
                what,
                result["files"],
                result["bytes"],
                result["bytes_stored"],
                finished.seconds,
                finished.kms_calls,
                self._messages() - before,
            )
        )
        _say(f"Snapshot {result['snapshot'][:12]} made in {finished.seconds:.2f} s.")

    def _restore(self) -> None:
        before = self._messages()
        wanted = Wanted(self._vault, "latest", b"")
        done: Restored = Restore(self._session, wanted, FolderTarget(self._folder / "restored")).run()
        if done.trouble is not None:
            raise done.trouble
        _name([*done.failed.items(), *done.notes])
        self._steps.append(
            Step(
                "restore",
                done.files,
                done.byte_count,
                0,
                done.seconds,
                done.kms_calls,
                self._messages() - before,
            )
        )

    def _compare(self) -> None:
        begun = time.monotonic()
        restored = self._folder / "restored" / self._source.relative_to("/")
        found = compare(self._source, restored, frozenset(map(os.fsencode, self._excludes)))
        _name(found.differences)
        if found.differences:
            raise DemoFailed(
                f"{len(found.differences)} differences after the restore",
                remedy="was the folder changed while the demo ran? try one that is at rest",
            )
        _say(
            f"Compared {found.things} things and {size(found.byte_count)} in {time.monotonic() - begun:.1f} s: every "
            "byte is the same, and so are mode, owner, times, extended attributes and link targets."
        )

    def _show_onlooker(self) -> None:
        sightings = self._onlooker.sightings()
        _say(f"An onlooker with full power over the broker saw {len(sightings)} messages pass, such as:")
        for seen in _one_of_each(sightings):
            click.echo(f"    {seen.where[:40]:<40} {_short(seen)}")
        everything = b"\n".join(seen.opened() for seen in sightings)
        # A name that is a word of the protocol as well, such as `scheduler`, would be found and mean nothing.
        names = {
            os.fsencode(path.name)
            for path in self._source.iterdir()
            if len(path.name) >= 6 and not (path.name.isalpha() and path.name.islower())
        }
        names |= {os.fsencode(self._source), os.fsencode(self._vault.repo), b"demo"}
        leaked = sorted(name for name in names if name in everything)
        if leaked:
            raise DemoFailed(
                f"{len(leaked)} names were seen in the broker: {shown(leaked[0])}", remedy="report this"
            )
        _say(f"In all {size(len(everything))} of it, none of {len(names)} names and paths occurs.")

    def _messages(self) -> int:
        time.sleep(0.2)  # the watcher writes a moment later
        return self._onlooker.messages().total()


def _one_of_each(sightings: list[Sighting]) -> list[Sighting]:
    """The first of each task, and of each kind of list that carries no tasks."""
    found: dict[str, Sighting] = {}
    for seen in sightings:
        kind = seen.where.partition(":")[0]
        with suppress(ValueError, KeyError, TypeError):  # a sealed answer or note is no task
            kind = json.loads(seen.value)["headers"]["task"]
        found.setdefault(kind, seen)
    return list(found.values())


def _short(seen: Sighting) -> str:
    try:
        frame = json.loads(seen.value)
        text = f"{frame['headers']['task']} {frame['body']}"
    except (ValueError, KeyError, TypeError):
        text = seen.value
    return shown(text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)")


def _name(paths: Sequence[tuple[bytes, str]]) -> None:
    for path, what in paths[:NAMED]:
        click.echo(f"    {shown(path)}: {shown(what)}", err=True)
    if len(paths) > NAMED:
        click.echo(f"    and {len(paths) - NAMED} more", err=True)


def _say(text: str) -> None:
    click.echo(f"* {text}")


if __name__ == "__main__":
    demo()
