"""The installed command's first moments."""

import signal
import subprocess
import sys

INTERRUPTED_WHILE_LOADING = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "client.main":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["strongroom", "--version"]
from client.start import run
run()
"""


def start(code: str) -> subprocess.CompletedProcess[str]:
    # As from a terminal: whoever runs the tests may have been told to ignore Ctrl-C.
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_ctrl_c_while_the_command_is_loading_leaves_no_traceback() -> None:
    done = start(INTERRUPTED_WHILE_LOADING)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_afterwards_ctrl_c_is_an_error_as_any_other() -> None:
    code = (
        "import signal, sys\nsys.argv = ['strongroom', '--version']\nimport client.main\n"
        "client.main.run = lambda: print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
        "from client.start import run\nrun()"
    )
    assert start(code).stdout == "True\n"
