"""docs/task-submission.md: its example is run as it stands there, against a real stack with every role."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def example() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/task-submission.md").read_text(), re.DOTALL)
    return str(found)


def run(home: Path, *arguments: str) -> str:
    environment = {**os.environ, "STRONGROOM_HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_is_about_twenty_lines() -> None:
    work = [line for line in example().splitlines() if line and not re.match(r"import|from", line)]
    assert len(work) <= 25


def test_the_example_backs_up_and_asks_for_a_restore(tmp_path: Path) -> None:
    home, source = tmp_path / "home", tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"content")
    run(home, "-m", "client.main", "init")
    repository = (tmp_path / "repo").as_uri()
    run(home, "-m", "client.main", "vault", "create", "v", "--repo", repository, "--kms", "local-kms://k")
    run(home, "-m", "client.main", "up")
    try:
        printed = run(home, "-c", example(), str(source))
    finally:
        run(home, "-m", "client.main", "down")
    backup, restore = printed.splitlines()
    assert backup.split()[::2] == ["backup", "done"], printed
    assert restore.split()[::2] == ["restore", "done"], printed
    job = restore.split()[1]
    assert list((home / "delivery" / job).iterdir()), "a parcel waits"


@pytest.mark.parametrize("step", range(1, 13))
def test_the_numbers_of_the_document_are_those_of_the_code(step: int) -> None:
    checks = (ROOT / "docs/task-submission.md").read_text().partition("## What the scheduler checks")[2]
    assert re.search(rf"^{step}\. ", checks, re.MULTILINE)
    code = (ROOT / "scheduler/submit.py").read_text() + (ROOT / "scheduler/requests.py").read_text()
    assert re.search(rf"# {step}$|\(step {step}\)", code, re.MULTILINE), step
