"""What the commands print: JSON for programs, aligned words for people."""

import base64
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import click

EXIT_INCOMPLETE: Final = 3
"""Finished, but something could not be read or restored."""
AT_ONCE: Final = 500
"""Lines, or elements of an array, that are written together: each write costs more than making a line."""
_UNITS: Final = ("B", "KB", "MB", "GB", "TB", "PB")

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON value as the last line of standard output."
)


def json_line(value: object) -> str:
    """One line of JSON in ASCII; a path that is not UTF-8 keeps its bytes as Python's surrogate escapes."""
    return json.dumps(value)


class JsonArray:
    """Prints one line with a JSON array of any length, element by element, in a `with` block.

    Args:
        before, after: what stands around its elements.
    """

    def __init__(self, before: str = "[", after: str = "]") -> None:
        self._texts = [before]
        self._after = after
        self._comma = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an error the line stays broken: nobody must take it for the whole.
        self._add(f"{self._after if kind is None else ''}\n")
        self._flush()

    def item(self, text: str) -> None:
        """Another element."""
        self._add(f"{self._comma}{text}")
        self._comma = ", "

    def begin(self, text: str) -> None:
        """The beginning of an element that ends in a list of its own."""
        self.item(text)
        self._comma = ""

    def inner(self, text: str) -> None:
        """An element of that list."""
        self.item(text)

    def end(self, text: str) -> None:
        """The end of the list, and of the element."""
        self._add(text)
        self._comma = ", "

    def _add(self, text: str) -> None:
        self._texts.append(text)
        if len(self._texts) >= AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        texts, self._texts = self._texts, []
        click.echo("".join(texts), nl=False)


def print_lines(texts: Iterable[str]) -> None:
    """Print a line each, many at once; what was there before an error is printed."""
    few: list[str] = []
    try:
        for text in texts:
            few.append(text)
            if len(few) >= AT_ONCE:
                click.echo("\n".join(few))
                few = []
    finally:
        if few:
            click.echo("\n".join(few))


def path_fields(path: bytes, name: str = "path") -> dict[str, str]:
    """A path for JSON: as text, and in base64 as well when it is not UTF-8."""
    fields = {name: os.fsdecode(path)}
    if not _is_utf8(path):
        fields[f"{name}_b64"] = base64.b64encode(path).decode()
    return fields


def shown(text: str | bytes) -> str:
    """Text that may go to a terminal: control characters and undecodable bytes are written out."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def size(count: float) -> str:
    """A number of bytes in a unit that fits."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def time_of_ns(ns: int) -> str:
    """Nanoseconds since 1970 as ISO 8601 in UTC, to the microsecond."""
    micros = ns % 1_000_000_000 // 1000
    text = second_of_ns(ns)
    return f"{text[:-1]}.{micros:06}Z" if micros and text.endswith("Z") else text


def second_of_ns(ns: int) -> str:
    """The same to the second."""
    try:
        return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC).isoformat()[:19]}Z"
    except (ValueError, OverflowError, OSError):
        return f"@{ns // 1_000_000_000}"


def time_of_ms(ms: int | None) -> str | None:
    """Milliseconds since 1970 as ISO 8601 in UTC; None stays None."""
    return None if ms is None else time_of_ns(ms * 1_000_000)


def to_the_second(time: str | None, otherwise: str = "-") -> str:
    """A time of `time_of_ns` without fractions, still marked as UTC."""
    return f"{time[:19]}Z" if time and time.endswith("Z") else time or otherwise


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns."""
    texts = [[shown(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *texts, strict=True)]
    for line in [list(headings), *texts]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def tell_snapshot(snapshot: str, time_ns: int) -> None:
    """Say on standard error which snapshot `latest` has turned out to be."""
    click.echo(f"the latest is snapshot {snapshot[:12]} of {to_the_second(time_of_ns(time_ns))}", err=True)


def tell_config_changed() -> None:
    """Say on standard error that the stack goes on by what config.toml said before."""
    click.echo(
        "strongroom: config.toml has changed since the stack started, which has not read it again\n"
        "  -> `strongroom down`, then `strongroom up`",
        err=True,
    )


def tell_paths(heading: str, paths: Iterable[tuple[bytes, str]]) -> None:
    """Name paths and what is wrong with each, on standard error."""
    first = True
    for path, why in paths:
        if first:
            click.echo(heading, err=True)
            first = False
        click.echo(f"  {shown(path)}: {shown(why)}", err=True)


def summary(values: Mapping[str, Any]) -> None:
    """Print a few named values, one a line."""
    width = max(map(len, values))
    for name, value in values.items():
        click.echo(f"{name.rjust(width)}  {shown(str(value))}")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
