"""Runs the real command in a home of the test's own, from the sources."""

import json
import subprocess
from pathlib import Path
from typing import Any

from client.installation import python_command


def run(
    home: Path, *words: str, code: int = 0, module: str = "client.main"
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in the folder that the home is in, and check its exit code."""
    command, environment = python_command(module, *words)
    done = subprocess.run(
        command,
        env={**environment, "STRONGROOM_HOME": str(home)},
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done


def answer(home: Path, *words: str, code: int = 0) -> Any:
    """What a command with --json says on its last line."""
    return json.loads(run(home, *words, "--json", code=code).stdout.splitlines()[-1])
