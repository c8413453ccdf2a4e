"""The real thing: the `strongroom` command, a real broker, real worker processes, in a home of the test's own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sys.executable).with_name("strongroom")
TIMEOUT_S = 120


class Strongroom:
    """Runs the command in one home.

    Args:
        before: runs in each command's process before it becomes the command.
        environment: further variables of the commands.
    """

    def __init__(self, home: Path, before: Callable[[], None] | None = None, **environment: str) -> None:
        self.home = home
        self.before = before
        self._sessions: set[int] = set()
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("STRONGROOM_")},
            "STRONGROOM_HOME": str(home),
            **environment,
        }

    def run(
        self, *args: str | Path, code: int | None = 0, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and check its exit code (None: any)."""
        done = subprocess.run(
            [COMMAND, *map(str, args)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            preexec_fn=self.before,
            check=False,
            **options,
        )
        if code is not None:
            assert done.returncode == code, (
                f"{args} -> {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
            )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *args: str | Path, code: int | None = 0) -> Any:
        """Run a command with --json and return the object on its last line."""
        done = self.run(*args, "--json", code=code)
        return json.loads(done.stdout.strip().splitlines()[-1])

    def start(self, *args: str | Path) -> subprocess.Popen[str]:
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            [COMMAND, *map(str, args)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            preexec_fn=self.before,
            start_new_session=True,
        )

    def logs(self) -> str:
        """The end of every log, for a failing test's message."""
        logs = sorted((self.home / "logs").glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)

    def processes(self) -> list[int]:
        """Every live process of this home: by its command line, environment, open logs, or its session.

        A role overwrites its command line and environment with its title, and hides its descriptors from everybody
        but root; all of a stack is in the session of its supervisor, whose command line stays.
        """
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if state == "Z":
                    continue
                if int(session) in self._sessions or self._is_named(entry):
                    found.append(int(entry.name))
                    if b"workers.stack" in (entry / "cmdline").read_bytes():
                        self._sessions.add(int(session))
            except OSError:
                continue
        return found

    def _is_named(self, process: Path) -> bool:
        needle = str(self.home).encode()
        if needle in (process / "cmdline").read_bytes() + (process / "environ").read_bytes():
            return True
        return any(needle in os.fsencode(each.readlink()) for each in (process / "fd").iterdir())


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is true; fail the test if it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def furnished(room: Strongroom, repo: Path, vault: str = "v") -> Iterator[Strongroom]:
    """`room` made ready with one vault; whatever is left running in the end is a failure."""
    with left_tidy(room):
        room.run("init")
        room.run("vault", "create", vault, "--repo", f"file://{repo}", "--kms", "local-kms://main")
        yield room


@contextmanager
def left_tidy(room: Strongroom) -> Iterator[Strongroom]:
    """`room`; whatever is left running in the end is a failure."""
    try:
        yield room
    finally:
        room.processes()  # learns the session of a stack that is up
        room.run("down", code=None)
        leftovers = room.processes()
        for pid in leftovers:
            os.kill(pid, signal.SIGKILL)
    assert not leftovers, f"processes were left running\n{room.logs()}"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Strongroom]:
    """A fresh home with a vault `v`; whatever is left running in the end is a failure."""
    with furnished(Strongroom(tmp_path / "home"), tmp_path / "repo") as made:
        yield made


@pytest.fixture
def stack(room: Strongroom) -> Strongroom:
    """`room` with its stack kept up."""
    room.run("up")
    return room


def make_tree(root: Path, files: int = 40, size: int = 3000, seed: int = 1) -> dict[str, bytes]:
    """A small tree with reproducible content; returns path (relative) to content."""
    import random

    rng = random.Random(seed)
    made = {}
    for number in range(files):
        name = f"dir{number % 5}/file-{number:04d}.txt"
        content = (
            rng.randbytes(rng.randrange(size)) if number % 3 else (b"line %d\n" % number) * rng.randrange(400)
        )
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        made[name] = content
    return made


def read_tree(root: Path) -> dict[str, bytes]:
    """Every regular file below a folder: path (relative) to content."""
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in root.rglob("*")
        if p.is_file() and not p.is_symlink()
    }


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strongroom]:
    """A home with a vault `v` and a stack that stays up for all tests of a module; the repository is beside it."""
    folder = tmp_path_factory.mktemp("kept")
    with furnished(Strongroom(folder / "home"), folder / "repo") as made:
        made.run("up")
        yield made
