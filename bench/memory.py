"""How much memory each role's processes need at most, sampled while something runs."""

import os
import re
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import descendants, forget_peak

INTERVAL_S = 0.2
"""A sample of a stack takes a millisecond of processor time, which is not to be seen in what is measured."""
_CHILDREN_ARE_LISTED = Path(f"/proc/self/task/{os.getpid()}/children").exists()
_TITLE = "strongroom: "
_LINE = re.compile(r"^(VmHWM|RssAnon):\s*(\d+) kB$", re.MULTILINE)


class Watch:
    """Watches the processes below `roots` for as long as its block runs.

    Attributes:
        peak: bytes of the largest process of each role; the kernel's own high-water mark.
        anonymous: the same without what files back; the largest value that was seen, so a short peak may be missed.
    """

    def __init__(self, *roots: int, interval_s: float = INTERVAL_S) -> None:
        self.peak: dict[str, int] = {}
        self.anonymous: dict[str, int] = {}
        self._roots = roots
        self._interval = interval_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep_sampling, daemon=True)

    def __enter__(self) -> Self:
        for pid in _family(self._roots):
            forget_peak(pid)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        self._sample()

    def _keep_sampling(self) -> None:
        while not self._end.wait(self._interval):
            self._sample()

    def _sample(self) -> None:
        for pid in _family(self._roots):
            try:
                status = Path(f"/proc/{pid}/status").read_text(errors="replace")
                role = role_of(Path(f"/proc/{pid}/cmdline").read_text(errors="replace"))
            except OSError:
                continue  # it has just ended
            sizes = sizes_of(status)
            if role and sizes:
                self.peak[role] = max(self.peak.get(role, 0), sizes["VmHWM"])
                self.anonymous[role] = max(self.anonymous.get(role, 0), sizes["RssAnon"])


def _family(roots: tuple[int, ...]) -> set[int]:
    """The processes below `roots`, without this one: `descendants`, but quick where the kernel lists children."""
    if not _CHILDREN_ARE_LISTED:
        return descendants(*roots)
    found, left = set(), list(roots)
    while left:
        pid = left.pop()
        found.add(pid)
        try:
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            continue
        left += [child for child in map(int, text.split()) if child not in found]
    return found - {os.getpid()}


def bytes_read(*roots: int) -> int | None:
    """Bytes that the living processes below `roots` have read with read(2) and the like; None: may not be known."""
    total = 0
    for pid in descendants(*roots):
        try:
            text = Path(f"/proc/{pid}/io").read_text()
        except PermissionError:
            return None
        except OSError:
            continue
        total += int(text.partition("rchar:")[2].split()[0])
    return total


def role_of(command_line: str) -> str:
    """The role of a process of the stack from its title or arguments; "" for none that is known."""
    words = command_line.strip("\0").split("\0")
    if words[0].startswith(_TITLE):
        return words[0].removeprefix(_TITLE).strip()
    if os.path.basename(words[0].partition(" ")[0]) == "valkey-server":
        return "valkey"
    if "workers.stack" in words:
        return "supervisor"
    return "command" if any(os.path.basename(word) == "strongroom" for word in words[:3]) else ""


def sizes_of(status: str) -> dict[str, int]:
    """VmHWM and RssAnon, in bytes, from the text of /proc/PID/status; empty for a process without memory."""
    found = {name: int(size) << 10 for name, size in _LINE.findall(status)}
    return found if len(found) == 2 else {}
