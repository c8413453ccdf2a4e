"""An entry of a listing, for programs and for people."""

import stat
from functools import lru_cache
from typing import Any, Final

from client.answer import Line
from client.listing import path_of
from client.output import path_fields, second_of_ns, shown, time_of_ns

_mode_words: Final = lru_cache(1024)(stat.filemode)


def entry_fields(line: Line) -> dict[str, Any]:
    """What an entry's line says, for JSON."""
    path = line["path"]
    # Text without what stands for bytes that are not UTF-8 is all that there is to say of it.
    fields: dict[str, Any] = {**({} if path.isascii() else path_fields(path_of(line))), **line}
    if "mtime_ns" in line:
        fields["mtime"] = time_of_ns(int(line["mtime_ns"]))
    return fields


def entry_words(line: Line) -> str:
    """The same in one line, as `ls -l` has it."""
    path = line["path"] if line["path"].isprintable() else shown(path_of(line))
    if "error" in line:
        return f"{'?' * 10} {path}  ({shown(str(line['error']))})"
    when = second_of_ns(int(line.get("mtime_ns", 0)))
    if "object" in line:
        kept = str(line["object"].get("storage_class", "STANDARD"))
        return f"{'object':<10} {shown(kept):<16} {line.get('size', 0):>12} {when} {path}"
    target = f" -> {shown(str(line['target']))}" if line.get("target") else ""
    owner = f"{line.get('user') or line.get('uid')}:{line.get('group') or line.get('gid')}"
    mode = _mode_words(int(line.get("mode", 0)))
    return f"{mode} {shown(owner):<16} {line.get('size', 0):>12} {when} {path}{target}"
