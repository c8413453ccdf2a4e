"""The result of a check in words: what is damaged, what it costs, and one last line that says whether all is well."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import click

from client.output import shown, size, summary, time_of_ns, to_the_second

MAX_PROBLEMS: Final = 100
MAX_PATHS: Final = 20
"""Of one problem, and snapshots; --json has more."""
_ID = 12
_REMOVED: Final = "a prune removed it"
"""As `repository.damage` says it of a pack that is there, and that a restore takes for gone."""

Result = Mapping[str, Any]


def show(found: Result) -> None:
    """Print it: problems on standard error, then the numbers, the losses, and the verdict."""
    _tell_problems(found.get("problems", ()), int(found.get("errors", 0)))
    tell_hidden(found)
    summary(_numbers(found))
    losses = list(found.get("losses", ()))
    for loss in losses[:MAX_PATHS]:
        when = to_the_second(time_of_ns(int(loss["time_ns"])))
        click.echo(
            f"snapshot {str(loss['snapshot'])[:_ID]} of {when}: "
            f"{loss['files']} of {count(loss['of'], 'file')} cannot be restored"
        )
    _tell_more(int(found.get("snapshots_touched", len(losses))) - MAX_PATHS, "snapshots like that", err=False)
    click.echo(last_line(found))


def last_line(found: Result) -> str:
    """The verdict, in one line."""
    return _damaged(found) if found.get("errors") else _good(found)


def tell_hidden(found: Result) -> None:
    """Name on standard error the snapshots that delete markers hide, or say that they cannot be seen."""
    hidden = found.get("hidden", 0)
    if hidden is None:
        click.echo(
            "whether snapshots are hidden is not known: the maintenance role may not list versions (docs/s3.md)",
            err=True,
        )
    elif hidden:
        ids = " ".join(str(each)[:_ID] for each in list(found.get("hidden_snapshots", ()))[:MAX_PATHS])
        what = count(int(hidden), "snapshot")
        click.echo(
            f"hidden by delete markers, and no `forget` has left word that it was it: {what}: {shown(ids)}",
            err=True,
        )


def extended_line(found: Result) -> str:
    """The verdict on an extension of locks, in one line."""
    locked = int(found.get("extended", 0)) + int(found.get("left", 0))
    done = f"{count(locked, 'object')} that the snapshots need {'is' if locked == 1 else 'are'} locked"
    if found.get("verdict") == "extended":
        return f"all is well: {done}, {found.get('extended', 0)} of them for longer than before"
    wrong = (
        ("missing", "needed and missing: {}", "object"),
        ("unreadable", "not to be read, so that everything was extended: {}", "object"),
        (
            "hidden_newest",
            "hidden and newer than all others, so that everything was extended: {}",
            "snapshot",
        ),
    )
    said = [text.format(count(int(found[name]), noun)) for name, text, noun in wrong if found.get(name)]
    return "; ".join(
        [f"INCOMPLETE: {done}", *said, "next: run `strongroom check`, and bring back what was removed"]
    )


def extended_numbers(found: Result) -> dict[str, str]:
    """An extension of locks in numbers, for `summary`."""
    hidden = found.get("hidden", 0)
    return {
        "extended": count(int(found.get("extended", 0)), "object"),
        "locked for long enough": str(found.get("left", 0)),
        "missing": str(found.get("missing", 0)),
        "unreadable": str(found.get("unreadable", 0)),
        "hidden snapshots": "not known" if hidden is None else str(hidden),
        **({"forgotten snapshots": str(found["forgotten"])} if found.get("forgotten") else {}),
        "time": f"{found.get('seconds', 0):.1f} s, {found.get('kms_calls', 0)} KMS calls",
    }


def count(number: int, noun: str) -> str:
    """`1 pack`, `2 packs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _numbers(found: Result) -> dict[str, str]:
    forgotten = int(found.get("forgotten", 0))
    behind = f"{count(forgotten, 'snapshot')}, hidden by delete markers or by a prune"
    unused = f"{count(found.get('unused_packs', 0), 'pack')}, {size(found.get('unused_bytes', 0))}"
    return {
        "snapshots": str(found.get("snapshots", 0)),
        **({"forgotten": behind} if forgotten else {}),
        "manifests": str(found.get("manifests", 0)),
        "packs": f"{found.get('packs', 0)}, {size(found.get('pack_bytes', 0))}",
        "chunks": str(found.get("chunks", 0)),
        "unused": unused,
        "read": f"{count(found.get('packs_read', 0), 'pack')}, {size(found.get('bytes_read', 0))}",
        "time": f"{found.get('seconds', 0):.1f} s, {found.get('kms_calls', 0)} KMS calls",
    }


def _tell_problems(problems: Iterable[Result], total: int) -> None:
    shown_count = 0
    for problem in problems:
        if shown_count == MAX_PROBLEMS:
            break
        shown_count += 1
        click.echo(f"{shown(str(problem.get('object')))}: {shown(str(problem.get('error')))}", err=True)
        touches = list(problem.get("touches", ()))
        for touched in touches[:MAX_PATHS]:
            click.echo(f"  {str(touched.get('snapshot'))[:_ID]}: {_paths(touched)}", err=True)
        _tell_more(len(touches) - MAX_PATHS, "paths; --json names more", err=True)
    _tell_more(total - shown_count, "problems; --json names more", err=True)


def _paths(touched: Result) -> str:
    first, last = shown(str(touched.get("first"))), shown(str(touched.get("last")))
    return first if first == last else f"everything from {first} to {last}"


def _tell_more(number: int, what: str, *, err: bool) -> None:
    if number > 0:
        click.echo(f"  and {number} more {what}", err=err)


def _good(found: Result) -> str:
    packs = f"{count(found['packs'], 'pack')} ({size(found['pack_bytes'])})"
    what = f"{count(found['snapshots'], 'snapshot')}, {count(found['manifests'], 'manifest')} and {packs}"
    return f"all is well: {what} are there and fit together; {_what_was_read(found)}"


def _what_was_read(found: Result) -> str:
    if found["read"] == "structure":
        return "no data was read (--read-data reads it)"
    part = f"{found['packs_read']} of {count(found['packs'], 'pack')} ({size(found['bytes_read'])})"
    chunks = count(found["chunks_read"], "chunk")
    what = "all that the index names" if found["read"] == "all" else "a part of the data"
    return f"{what} was read, {chunks} in {part}, and is as it was stored"


def _damaged(found: Result) -> str:
    parts = [f"DAMAGED: {count(found['errors'], 'problem')}"]
    closed, touched = int(found.get("damaged_snapshots", 0)), int(found.get("snapshots_touched", 0))
    everything = closed + int(found.get("snapshots", 0))
    if closed:
        parts.append(f"{closed} of {count(everything, 'snapshot')} cannot be opened")
    if touched:
        parts.append(
            f"{touched} of {count(everything, 'snapshot')} cannot be restored whole, but for the files that are named"
        )
    if not closed and not touched:
        parts.append("no file of a snapshot is touched by what was found")
    return "; ".join([*parts, f"next: {_next(found)}"])


def _next(found: Result) -> str:
    if any(str(problem.get("error")).startswith(_REMOVED) for problem in found.get("problems", ())):
        return (
            "while nothing else runs, remove the sweeps that are named, and check again, before any backup: "
            "see docs/operations.md, Bringing back what a prune removed"
        )
    kinds = {
        str(problem.get("object")).replace(" ", "/").partition("/")[0]
        for problem in found.get("problems", ())
    }
    if kinds <= {"manifests", "chunk"}:
        return "back up the same paths again, so that the newest snapshot is whole, and check again"
    if kinds <= {"manifests", "chunk", "index"}:
        return "remove the index objects that are named, back up the same paths again, and check again"
    return (
        "bring the objects that are named back from a copy of the repository and check again; "
        "without a copy see docs/operations.md, When check finds damage"
    )
