"""What the kernel was asked for is what it does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from config.hardening import is_hardened

ROOT = Path(__file__).parents[2]

HARDENED = """
import os, signal, sys
from config.hardening import harden_process, is_hardened
if sys.argv[1] == "hard":
    harden_process()
print(is_hardened(), flush=True)
os.kill(os.getpid(), signal.SIGSEGV)
"""

ORPHAN = """
import os, sys, time
from config.hardening import die_with_parent
parent = os.getpid()
child = os.fork()
if not child:
    die_with_parent(parent)
    time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""


def run(mode: str, folder: Path) -> tuple[bytes, int]:
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -c unlimited; exec "$0" -c "$1" "$2"', sys.executable, HARDENED, mode],
        stdout=subprocess.PIPE,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.stdout.strip(), done.returncode


def test_a_hardened_process_leaves_no_core_and_a_plain_one_may(tmp_path: Path) -> None:
    assert run("hard", tmp_path) == (b"True", -signal.SIGSEGV)
    assert list(tmp_path.iterdir()) == []
    assert run("plain", tmp_path) == (b"False", -signal.SIGSEGV)
    # The control, where this machine writes cores into the working folder at all.
    if Path("/proc/sys/kernel/core_pattern").read_text().startswith("core"):
        assert [path.name.partition(".")[0] for path in tmp_path.iterdir()] == ["core"]
    assert not is_hardened()


def test_a_child_dies_with_its_killed_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while Path(f"/proc/{child}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
