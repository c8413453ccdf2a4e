"""Guarantee 7: lose the broker, lose nothing."""

import json
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config import queues
from config.home import Home
from config.stack_file import running_stack
from tests.whole.broker import Intruder
from tests.whole.room import Strongroom, furnished, make_tree, read_tree, wait_for
from tests.workers.stack_control import children_of, family_of

# Two of these are more than a segment holds, and one pack holds one of them.
FILE_BYTES = 36 << 20
FILES = 8
# The lease of a job whose workers fell silent is over after a minute; then it is driven again.
PATIENCE_S = 110


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strongroom]:
    base = tmp_path_factory.mktemp("wiped")
    with furnished(Strongroom(base / "home"), base / "repo"):
        room = Strongroom(base / "home")
        room.run("vault", "create", "w", "--repo", f"file://{base}/other", "--kms", "local-kms://main")
        room.run("up")
        yield room


def make_source(folder: Path, seed: int) -> Path:
    folder.mkdir()
    generator = random.Random(seed)
    for number in range(FILES):
        (folder / f"file-{number}").write_bytes(generator.randbytes(FILE_BYTES))
    return folder


@contextmanager
def frozen(room: Strongroom) -> Iterator[None]:
    """The backup role stands still, however fast the machine is, while something happens to the broker."""
    info = running_stack(Home(room.home))
    assert info is not None
    family = family_of(children_of(info.pid)[queues.BACKUP])
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in family:
            os.kill(pid, signal.SIGCONT)


def done(repo: Path) -> list[Path]:
    """The segments that unfinished jobs have done."""
    return list((repo / "jobs").glob("*/done-*"))


def packs(repo: Path) -> dict[str, int]:
    """Name and size of each; what is still being written has a name with a dot."""
    return {pack.name: pack.stat().st_size for pack in (repo / "packs").glob("*/[!.]*")}


@pytest.mark.timeout(300)
def test_a_job_goes_on_after_the_broker_forgot_everything(room: Strongroom, tmp_path: Path) -> None:
    intruder = Intruder(room.home)
    repos = {"v": room.home.parent / "repo", "w": room.home.parent / "other"}
    early = tmp_path / "early"
    committed = make_tree(early)
    first = {vault: room.json("backup", vault, early)["snapshot"] for vault in repos}
    wait_for(lambda: not any(any((repo / "jobs").glob("*/*")) for repo in repos.values()))
    sources = {vault: make_source(tmp_path / vault, seed) for seed, vault in enumerate(repos)}
    wipes = {"v": intruder.redis.flushall, "w": lambda: os.kill(intruder.server(), signal.SIGKILL)}
    running = {}
    at_wipe = {}
    for vault, repo in repos.items():
        running[vault] = room.start("backup", vault, sources[vault], "--json")
        wait_for(lambda repo=repo: bool(done(repo)))  # type: ignore[misc]
        with frozen(room):
            at_wipe[vault] = packs(repo), len(done(repo))
            wipes[vault]()
        assert 0 < at_wipe[vault][1] < FILES - 1, "it was not in the middle of the job"
    for vault, repo in repos.items():
        output, errors = running[vault].communicate(timeout=PATIENCE_S)
        assert running[vault].returncode == 0, (output, errors, room.logs())
        made = json.loads(output.splitlines()[-1])
        job = next(each for each in room.json("jobs") if each["id"] == made["snapshot"])
        assert job["attempts"] > 1, "nothing had been lost"
        # What was stored before is part of it, and was not stored again.
        before, after = at_wipe[vault][0], packs(repo)
        assert before.items() <= after.items()
        # Two segments were under way: what they had stored may be there twice.
        assert sum(after.values()) < (FILES + 3) * FILE_BYTES
        assert made["bytes_read"] == FILES * FILE_BYTES
        for snapshot, root, content in (
            (first[vault], early, committed),
            (made["snapshot"], sources[vault], read_tree(sources[vault])),
        ):
            target = tmp_path / f"restored-{snapshot}"
            room.run("restore", vault, f"{snapshot}:{root}", "--target", target)
            assert read_tree(target) == content
        assert room.json("check", vault, "--read-data")["problems"] == []
