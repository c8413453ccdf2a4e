"""What is wrong in config.toml, in words: the errors of the decoder name types and patterns, a person wrote keys."""

import difflib
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

TABLES: Final = ("schedules", "retention")
"""Of which there may be many, each with a name."""
WRONG_KEY: Final = "correct or remove that key"

_WHERE: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_REMEDIES: Final = {
    "paths": "paths are absolute, and ~ is not expanded; objects are s3://bucket/prefix",
    "max_unused": "write percent as a number from 0 to 100, such as 5.0",
    "host": "use up to 63 small letters, digits, dots and dashes",
    **dict.fromkeys(("name", "vault"), "use up to 64 letters, digits, dots, dashes and underscores"),
}


class Explained(NamedTuple):
    """What is wrong, with the key that a person wrote, and what to do about it."""

    message: str
    remedy: str


def explain(error: msgspec.ValidationError, read: Any = None, section: type | None = None) -> Explained:
    """An error of the decoder in words.

    Args:
        read: what was decoded, by which a table is called by its name.
        section: the struct that it was to become, among whose keys the nearest to an unknown one is looked for.
    """
    text, _, at = str(error).partition(" - at `$")
    steps = [int(index) if index else key for key, index in _WHERE.findall(at.rstrip("`"))]
    where = _called(steps, read)
    if unknown := re.search(r"unknown field `([^`]+)`", text):
        message = f"unknown key {'.'.join(filter(None, (where, unknown[1])))}"
        near = difflib.get_close_matches(unknown[1], _keys(section, steps), n=1)
        return Explained(message, f"is it {near[0]}? {WRONG_KEY}" if near else WRONG_KEY)
    key = next((step for step in reversed(steps) if isinstance(step, str)), "")
    if steps and steps[-1] in TABLES:
        return Explained(f"{where} is not a list of tables", f"write [[{where}]], in double brackets")
    if key.startswith("keep_") and not key.startswith(("keep_within", "keep_tags")):
        return Explained(f"{where}: {_value(steps, read)} is no count", 'give a number, or "unlimited"')
    if "matching regex" in text and key in _REMEDIES:
        text = f"{_value(steps, read)} is not what can stand there"
    return Explained(f"{where}: {text}" if where else text, _REMEDIES.get(key, WRONG_KEY))


def _called(steps: list[str | int], read: Any) -> str:
    """`schedules.nightly.paths[0]`: by its place only where a table has no name."""
    words = ""
    for position, step in enumerate(steps):
        table = _look(read, steps[: position + 1])
        name = table.get("name") if isinstance(table, dict) else None
        if isinstance(step, str):
            words += f".{step}" if words else step
        elif steps[0] in TABLES and position == 1 and isinstance(name, str) and name.isprintable():
            words += f".{name}"
        else:
            words += f"[{step}]"
    return words


def _value(steps: list[str | int], read: Any) -> str:
    """What was written; only asked for where no secret can be."""
    return repr(_look(read, steps))[:200]


def _look(read: Any, steps: list[str | int]) -> Any:
    for step in steps:
        try:
            read = read[step]
        except (KeyError, IndexError, TypeError):
            return None
    return read


def _keys(section: type | None, steps: list[str | int]) -> list[str]:
    """The keys of the struct to which the steps lead."""
    for step in steps:
        if section is None:
            return []
        fields = {field.name: field.type for field in msgspec.structs.fields(section)}
        if isinstance(step, str):
            kind = fields.get(step)
            # A table of many is a tuple of one struct.
            inner = getattr(kind, "__args__", (kind,))[0]
            section = inner if isinstance(inner, type) and issubclass(inner, msgspec.Struct) else None
    return [] if section is None else [field.name for field in msgspec.structs.fields(section)]


CRON_FIELDS: Final = (
    ("minutes", "0 to 59"),
    ("hours", "0 to 23"),
    ("days of the month", "1 to 31, or L"),
    ("months", "1 to 12, or names as JAN"),
    ("days of the week", "0 to 7, or names as SUN"),
)


def cron_remedy(cron: str, is_good: Callable[[str], bool]) -> str:
    """What to do about a line of cron fields that is refused: the first field that is wrong by itself is named.

    Args:
        is_good: whether a line is accepted.
    """
    fields = cron.split()
    if len(fields) != len(CRON_FIELDS):
        return "give five cron fields: minute, hour, day of the month, month, day of the week"
    for position, (name, span) in enumerate(CRON_FIELDS):
        alone = ["*"] * len(CRON_FIELDS)
        alone[position] = fields[position]
        if not is_good(" ".join(alone)):
            return f"{name} are {span}"
    return "write a day that comes"
