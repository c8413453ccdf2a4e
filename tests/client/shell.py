"""The installed command, run as a person runs it, in a home of its own."""

import json
import os
import stat
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.installation import python_command
from crypto.registry import Registry


def run(
    home: Path, *words: str, code: int = 0, module: str = "client.main"
) -> subprocess.CompletedProcess[str]:
    """`strongroom WORDS`; fails the test when the exit code is another one."""
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
    """What it says to a script."""
    return json.loads(run(home, *words, "--json", code=code).stdout.splitlines()[-1])


@dataclass
class Shell:
    """One home, below a folder that has room for more."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return run(self.home, *words, code=code)

    def json(self, *words: str, code: int = 0) -> Any:
        return answer(self.home, *words, code=code)


def restored(shell: Shell, name: str) -> Path:
    """A folder to restore to, not made yet."""
    return shell.root / "restored" / name


def registry(home: Path) -> Registry:
    return Registry.decode((home / "registry.json").read_bytes())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def require_closed_folder(tmp_path: Path, *words: str) -> None:
    """`strongroom WORDS FOLDER` closes an empty folder to others, and refuses one that has something in it."""
    folder = tmp_path / "folder"
    for open_to in (0o755, 0o770):
        folder.mkdir()
        folder.chmod(open_to)
        answer(tmp_path / "h", *words, str(folder))
        assert mode(folder) == 0o700
        for path in folder.iterdir():
            path.unlink()
        (folder / "mine").touch()
        folder.chmod(open_to)
        told = answer(tmp_path / "h", *words, str(folder), code=1)
        assert "chmod 700" in told["remedy"]
        assert (mode(folder), [path.name for path in folder.iterdir()]) == (open_to, ["mine"])
        (folder / "mine").unlink()
        folder.rmdir()


def stack_processes(root: Path) -> list[int]:
    """Living supervisors of a home."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"workers.stack" in line and os.fsencode(root / "home") in line:
                found.append(int(entry.name))
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
