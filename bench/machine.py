"""What a measurement was made on: no names and no paths."""

import os
import platform
import subprocess
from pathlib import Path


def machine() -> dict[str, str]:
    """Processor, cores, memory, kernel, Python and the commit that is measured."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "processor": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "commit": _commit(),
    }


def file_system(folder: Path) -> str:
    """Type of the file system that holds `folder`, from /proc/mounts."""
    mounts = (line.split()[1:3] for line in _lines("/proc/mounts"))
    best = max(
        ((point, kind) for point, kind in mounts if folder.resolve().is_relative_to(point)),
        key=lambda mount: len(mount[0]),
    )
    return best[1]


def free_bytes(folder: Path) -> int:
    """What can still be written below `folder`; on a tmpfs no more than there is memory."""
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if file_system(folder) == "tmpfs":
        available = next(line for line in _lines("/proc/meminfo") if line.startswith("MemAvailable:"))
        free = min(free, int(available.split()[1]) << 10)
    return free


def _commit() -> str:
    """Short hash of the measured commit, with "+" for a tree that differs from it."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "none"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
