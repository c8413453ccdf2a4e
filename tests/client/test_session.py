"""A session: which stack it uses, and what it leaves of this process."""

import os
import subprocess
from pathlib import Path

from client.installation import initialise, python_command
from config.home import Home

SCRIPT = """
import os, signal
from client.installation import Installation
from client.session import open_session

before = signal.getsignal(signal.SIGTERM)
try:
    with open_session(Installation.open()) as session:
        assert session.stack is None
        session.require_alive()
        assert "secret" not in repr(session)
        session.dropped = 2
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
except KeyboardInterrupt:
    print("ended like Ctrl-C")
assert signal.getsignal(signal.SIGTERM) is before
"""


def test_with_a_broker_of_ones_own_no_stack_is_started_and_sigterm_ends_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    initialise(home)
    home.settings_file.write_text('[broker]\nurl = "redis://client:secret@127.0.0.1:1/0"\n')
    command, environment = python_command("client.main")
    done = subprocess.run(
        [command[0], "-c", SCRIPT],
        env={**environment, "STRONGROOM_HOME": str(home.root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ended like Ctrl-C\n"), done.stderr
    assert done.stderr.startswith("strongroom: 2 letters were not believed")
    assert os.listdir(home.run_dir) == []
