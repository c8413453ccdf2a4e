"""An entry of a listing, for programs and for people."""

import stat
from typing import Any

from client.answer import Line
from client.listing import path_of
from client.output import path_fields, shown, time_of_ns, to_the_second


def entry_fields(line: Line) -> dict[str, Any]:
    """What an entry's line says, for JSON."""
    fields: dict[str, Any] = {**path_fields(path_of(line)), **line}
    if "mtime_ns" in line:
        fields["mtime"] = time_of_ns(int(line["mtime_ns"]))
    return fields


def entry_words(line: Line) -> str:
    """The same in one line, as `ls -l` has it."""
    path = shown(path_of(line))
    if "error" in line:
        return f"{'?' * 10} {path}  ({shown(str(line['error']))})"
    when = to_the_second(time_of_ns(int(line.get("mtime_ns", 0))))
    if "object" in line:
        kept = str(line["object"].get("storage_class", "STANDARD"))
        return f"{'object':<10} {shown(kept):<16} {line.get('size', 0):>12} {when} {path}"
    target = f" -> {shown(str(line['target']))}" if line.get("target") else ""
    owner = f"{line.get('user') or line.get('uid')}:{line.get('group') or line.get('gid')}"
    mode = stat.filemode(int(line.get("mode", 0)))
    return f"{mode} {shown(owner):<16} {line.get('size', 0):>12} {when} {path}{target}"
