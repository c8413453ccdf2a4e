"""Bad input: one line says what happened, another what to do; no traceback, nothing lost, what is right works."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from client.broker import Mailbox, Publisher
from config.home import Home
from config.settings import load
from config.stack_file import running_stack
from crypto import canonical, job, notes
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.registry import SCHEDULER, Registry
from tests.whole.room import Strongroom, furnished, make_tree, read_tree

KMS = Path(sys.executable).with_name("strongroom-kms")


class Case:
    """A vault `v` with one snapshot of `source`, and its stack kept up."""

    def __init__(self, room: Strongroom, folder: Path) -> None:
        self.room, self.folder = room, folder
        self.source, self.repo = folder / "source", folder / "repo"
        self.content = make_tree(self.source, files=12)
        self.snapshot = str(room.json("backup", "v", self.source)["snapshot"])
        self._targets = 0

    def target(self) -> Path:
        self._targets += 1
        return self.folder / f"target{self._targets}"

    def works(self) -> None:
        """What was right before is right now: nothing was lost."""
        target = self.target()
        self.room.run("backup", "v", self.source)
        self.room.run("restore", "v", f"{self.snapshot}:{self.source}", "--target", target)
        assert read_tree(target) == self.content


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("bad")
    with furnished(Strongroom(folder / "home", STRONGROOM_CACHE_MAX_AGE_S="2"), folder / "repo") as room:
        room.run("up")
        yield Case(room, folder)


def refused(
    room: Strongroom, *args: str | Path, says: tuple[str, ...], again: Callable[[str], str] = str
) -> None:
    """The command fails with one line and a remedy, for people and for programs.

    Args:
        again: takes out of a message what is another the second time.
    """
    done = room.run(*args, code=None)
    lines = done.stderr.strip().splitlines()
    assert lines[0].startswith("strongroom: "), done.stderr
    assert len(lines) == 2, done.stderr
    assert lines[1].startswith("  -> "), done.stderr
    assert len(lines[1]) > len("  -> ") + 8, done.stderr
    for word in says:
        assert word.lower() in done.stderr.lower(), done.stderr
    told = json.loads(room.run(*args, "--json", code=done.returncode).stdout.strip().splitlines()[-1])
    assert (again(told["error"]), told["remedy"]) == (again(lines[0][12:]), lines[1][5:])
    assert told["code"]
    assert done.returncode == (2 if told["code"] == "bad-argument" else 1)


def test_no_home_yet(tmp_path: Path) -> None:
    room = Strongroom(tmp_path / "nowhere")
    for args in (
        ("backup", "v", "/etc/hostname"),
        ("snapshots", "v"),
        ("vault", "list"),
        ("up",),
        ("status",),
    ):
        refused(room, *args, says=("strongroom init",))
    assert not (tmp_path / "nowhere").exists(), "asking makes nothing"


SIMPLE: dict[str, tuple[Callable[[Case], tuple[str | Path, ...]], tuple[str, ...]]] = {
    "another init": (lambda c: ("init",), ("already",)),
    "no such vault": (lambda c: ("backup", "w", c.source), ("there is no vault 'w'", "v")),
    "no such path": (lambda c: ("backup", "v", c.source, "/no/such/path"), ("/no/such/path",)),
    "no such snapshot": (lambda c: ("restore", "v", "0123abcd", "--target", c.target()), ("0123abcd", "snapshots")),
    "too short a prefix": (lambda c: ("ls", "v", "abc"), ("abc", "4 digits")),
    "not a snapshot": (lambda c: ("ls", "v", "yesterday"), ("yesterday", "latest")),
    "a relative path in a snapshot": (lambda c: ("ls", "v", "latest:etc"), ("etc", "/absolute")),
    "not in the snapshot": (
        lambda c: ("restore", "v", "latest:/no/such/path", "--target", c.target()), ("/no/such/path",)
    ),
    "nothing of that path to list": (lambda c: ("ls", "v", "latest:/no/such/path"), ("/no/such/path",)),
    "a bad exclude": (lambda c: ("backup", "v", c.source, "--exclude", "a[b"), ("a[b",)),
    "a bad include": (lambda c: ("restore", "v", "latest", "--target", c.target(), "--include", "[z-a]"), ("[z-a]",)),
    "a target that is not empty": (
        lambda c: ("restore", "v", "latest", "--target", c.source), ("not empty", "directory")
    ),
    "a target that is a file": (
        lambda c: ("restore", "v", "latest", "--target", c.source / "dir0" / "file-0000.txt"), ("file-0000.txt",)
    ),
    "a vault's name that is taken": (
        lambda c: ("vault", "create", "v", "--repo", f"file://{c.target()}", "--kms", "local-kms://main"),
        ("already", "name"),
    ),
    "a vault's name that is none": (
        lambda c: ("vault", "create", "a/b", "--repo", f"file://{c.target()}", "--kms", "local-kms://main"), ("a/b",)
    ),
    "a repository in a folder that is not empty": (
        lambda c: ("vault", "create", "n", "--repo", f"file://{c.source}", "--kms", "local-kms://main"), ("not empty",)
    ),
    "a repository where there can be none": (
        lambda c: ("vault", "create", "n", "--repo", "file:///proc/none", "--kms", "local-kms://main"), ("/proc/none",)
    ),
    "nothing to attach": (
        lambda c: ("vault", "attach", "n", "--repo", f"file://{c.source}", "--kms", "local-kms://main"),
        ("no vault in this repository",),
    ),
    "attached already": (
        lambda c: ("vault", "attach", "n", "--repo", f"file://{c.repo}", "--kms", "local-kms://main"), ("'v'",)
    ),
    "a lock without an end": (
        lambda c: ("vault", "create", "n", "--repo", "s3://bucket/p?lock=governance", "--kms", "local-kms://main"),
        ("lock=governance&retention=30d",),
    ),
    "a secret in a URI": (
        lambda c: ("vault", "create", "n", "--repo", "s3://bucket/p?secret_key=x", "--kms", "local-kms://main"),
        ("profile=NAME",),
    ),
    "a CMK in AWS": (
        lambda c: ("vault", "create", "n", "--repo", f"file://{c.target()}", "--kms", "aws-kms://arn"),
        ("aws-kms://arn:aws:kms:",),
    ),
    "not the URI of a repository": (
        lambda c: ("vault", "create", "n", "--repo", "ftp://x/y", "--kms", "local-kms://main"), ("ftp://x/y", "file://")
    ),
    "a second stack": (lambda c: ("up",), ("already",)),
}  # fmt: skip


@pytest.mark.parametrize("what", SIMPLE)
def test_is_refused_in_words(case: Case, what: str) -> None:
    make, says = SIMPLE[what]
    before = sorted(str(path) for path in case.repo.rglob("*") if "jobs" not in path.parts)
    vaults = case.room.json("vault", "list")
    refused(case.room, *make(case), says=says)
    assert sorted(str(path) for path in case.repo.rglob("*") if "jobs" not in path.parts) == before
    assert case.room.json("vault", "list") == vaults


def test_after_all_that_everything_works(case: Case) -> None:
    case.works()


def switch(room: Strongroom, *args: str) -> None:
    subprocess.run([KMS, *args, "main"], env=room.environment, check=True, capture_output=True)


USES: dict[str, Callable[[Case], tuple[str | Path, ...]]] = {
    "backup": lambda c: ("backup", "v", c.source),
    "snapshots": lambda c: ("snapshots", "v"),
    "ls": lambda c: ("ls", "v", "latest"),
    "restore": lambda c: ("restore", "v", "latest", "--target", c.target()),
    "check": lambda c: ("check", "v"),
}


@pytest.mark.parametrize(
    ("off", "on", "says"),
    [
        (("disable",), (("enable",),), "disabled"),
        (("schedule-deletion", "--days", "7"), (("cancel-deletion",), ("enable",)), "deletion"),
    ],
)
def test_the_off_switch(case: Case, off: tuple[str, ...], on: tuple[tuple[str, ...], ...], says: str) -> None:
    """Within the cache's age (2 s here) and one more look, every role refuses, although its processes live on."""
    case.works()
    switch(case.room, *off)
    try:
        time.sleep(4)
        for use in USES.values():
            refused(case.room, *use(case), says=(says,))
    finally:
        for command in on:
            switch(case.room, *command)
    case.works()


def test_another_vaults_repository(case: Case) -> None:
    room, other, aside = case.room, case.folder / "other", case.folder / "aside"
    room.run("vault", "create", "other", "--repo", f"file://{other}", "--kms", "local-kms://main")
    case.repo.rename(aside)
    other.rename(case.repo)
    try:
        for use in ("backup", "snapshots", "ls", "restore"):
            # Of its configuration, or of its key, if the process that takes the job has none in its cache.
            refused(
                room,
                *USES[use](case),
                says=("another vault",),
                again=lambda text: text.partition("belongs")[2],
            )
        problems = room.json("check", "v", code=3)["problems"]
        assert any("another vault" in problem["error"] for problem in problems)
    finally:
        case.repo.rename(other)
        aside.rename(case.repo)
    case.works()


def test_an_unknown_format_version(case: Case) -> None:
    """The version is bytes 4 and 5 of every object (docs/format.md)."""
    config = case.repo / "config"
    good = config.read_bytes()
    config.chmod(0o600)
    config.write_bytes(good[:4] + (2).to_bytes(2, "big") + good[6:])
    try:
        for use in (USES["backup"], USES["snapshots"], USES["restore"]):
            refused(case.room, *use(case), says=("version 2", "newer release"))
        fresh = Strongroom(case.folder / "fresh")
        fresh.run("init")
        attach = ("vault", "attach", "v", "--repo", f"file://{case.repo}", "--kms", "local-kms://main")
        refused(fresh, *attach, says=("version 2", "newer release"))
    finally:
        config.write_bytes(good)
    case.works()


def test_a_damaged_pack(case: Case) -> None:
    (pack,) = (path for path in (case.repo / "packs").rglob("*") if path.is_file())
    good = pack.read_bytes()
    pack.chmod(0o600)
    pack.write_bytes(good[: len(good) // 2])
    try:
        target = case.target()
        done = case.room.run("restore", "v", f"{case.snapshot}:{case.source}", "--target", target, code=None)
        assert done.returncode in (1, 3)
        for name in case.content.keys() - read_tree(target).keys():
            assert name in done.stderr, "every file is named"
        assert str(pack.relative_to(case.repo)) in case.room.run("check", "v", code=3).stderr
    finally:
        pack.write_bytes(good)
    case.works()


def test_a_broker_that_is_not_there(case: Case) -> None:
    away = Strongroom(case.room.home, STRONGROOM_BROKER_URL="redis://127.0.0.1:1/0")
    refused(away, "backup", "v", case.source, says=("broker", "does not answer"))
    refused(away, "status", says=("broker", "does not answer"))
    gone = Strongroom(case.room.home, STRONGROOM_BROKER_URL="redis+socket:///no/such/socket")
    refused(gone, "status", says=("broker", "does not answer"))
    done = gone.json("restore", "v", "latest", "--target", case.target(), code=1)
    assert done["code"] == "broker-unreachable"
    case.works()


def without_pack(message: str) -> str:
    return re.sub("packs/[0-9a-f/]+", "", message)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    with mounted(tmp_path / "disk", "8m") as disk:
        yield disk


@contextmanager
def mounted(place: Path, size: str) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "strongroom-test", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk(case: Case, small_disk: Path, tmp_path: Path) -> None:
    room, source = case.room, tmp_path / "source"
    repo = f"file://{small_disk}/repo"
    room.run("vault", "create", "small", "--repo", repo, "--kms", "local-kms://main")
    content = make_tree(source, files=10)
    first = room.json("backup", "small", source)["snapshot"]
    (source / "large").write_bytes(os.urandom(16 << 20))
    refused(room, "backup", "small", source, says=("no space left", "free some space"), again=without_pack)
    assert [line["id"] for line in room.json("snapshots", "small")] == [first]
    room.run("restore", "small", f"{first}:{source}", "--target", tmp_path / "target")
    assert read_tree(tmp_path / "target") == content
    (source / "large").unlink()
    room.run("backup", "small", source)
    assert room.json("check", "small", "--read-data")["problems"] == []


def test_a_full_target(case: Case, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(8):
        (source / f"file{number}").write_bytes(os.urandom(1 << 20))
    case.room.run("backup", "v", source)
    with mounted(tmp_path / "target", "4m") as target:
        done = case.room.json("restore", "v", f"latest:{source}", "--target", target, code=None)
        there = read_tree(target)
        named = {Path(each["path"]).name for each in done["failed"]}
        assert named == {f"file{number}" for number in range(8)} - there.keys()
        assert named
        assert all(data == (source / name).read_bytes() for name, data in there.items())
    case.works()


def test_a_wrong_passphrase(tmp_path: Path) -> None:
    """The keystore is under a passphrase: without the right one nothing opens, with it everything does."""
    source = tmp_path / "source"
    content = make_tree(source, files=5)
    repo = f"file://{tmp_path}/repo"
    right = Strongroom(tmp_path / "home", STRONGROOM_KMS_PASSPHRASE="correct horse")
    right.run("init")
    right.run("vault", "create", "v", "--repo", repo, "--kms", "local-kms://main")
    right.run("backup", "v", source)
    wrong = Strongroom(tmp_path / "home", STRONGROOM_KMS_PASSPHRASE="wrong horse")
    refused(wrong, "backup", "v", source, says=("passphrase",))
    refused(Strongroom(tmp_path / "home"), "backup", "v", source, says=("passphrase",))
    # The right one from a file, as a service would have it.
    (tmp_path / "passphrase").write_text("correct horse\n")
    filed = Strongroom(tmp_path / "home", STRONGROOM_KMS_PASSPHRASE_FILE=str(tmp_path / "passphrase"))
    filed.run("restore", "v", f"latest:{source}", "--target", tmp_path / "target")
    assert read_tree(tmp_path / "target") == content


class Submitter:
    """An enrolled operator's own client: sends what the command would never send."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.registry = Registry.decode(self.home.registry_file.read_bytes())
        self.operator = Identity.decode((self.home.identities / "operator").read_bytes())
        settings, stack = load(self.home, {}), running_stack(self.home)
        assert stack is not None
        self.mailbox = Mailbox(stack.broker_url, settings)
        self.publisher = Publisher(stack.broker_url, settings)

    def request(self, source: Path, made_ms: int) -> tuple[bytes, Any]:
        """A signed request for a backup into `v`, made at a time."""
        vault = next(each for each in self.registry.vaults if each.name == "v")
        job_id, me = os.urandom(16), HpkeKey.generate()
        spec = job.BackupSpec(vault.repo, me.public, (os.fsencode(source),), (), (), "elsewhere")
        sealed = job.seal_spec(spec, job_id, self.registry.holders(SCHEDULER))
        body = job.JobRequest(
            job.REQUEST_VERSION, job_id, job.BACKUP, vault.id, made_ms, sealed, detached=True
        )
        return job_id, job.request(self.operator, body)

    def verdict(self, job_id: bytes) -> notes.Verdict:
        """The next final verdict on a job."""
        while letter := self.mailbox.wait(job_id, 20):
            signed = canonical.decode(notes.Letter, letter).verdict
            if signed and (found := notes.read_verdict(self.registry, signed, job_id)).state in (
                "done",
                "failed",
            ):
                return found
        pytest.fail("no verdict came")


def test_a_replayed_request(case: Case) -> None:
    submitter = Submitter(case.room.home)
    now_ms = time.time_ns() // 1_000_000
    job_id, request = submitter.request(case.source, now_ms)
    submitter.publisher.submit(request)
    assert submitter.verdict(job_id).state == "done"
    before = case.room.json("snapshots", "v")
    submitter.publisher.submit(request)
    assert submitter.verdict(job_id).state == "done", "it is answered for"
    assert case.room.json("snapshots", "v") == before, "and nothing is started"
    # One that was kept back until it is old is refused, in words.
    job_id, request = submitter.request(case.source, now_ms - 60 * 60 * 1000)
    submitter.publisher.submit(request)
    verdict = submitter.verdict(job_id)
    assert (verdict.state, verdict.code) == ("failed", "expired")
    assert verdict.message
    assert verdict.remedy
    assert case.room.json("snapshots", "v") == before
    case.works()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[workers]\nbackups = 3\n", ("backups", "config.toml")),
        ("[cache]\nmax_age_s = 5000\n", ("max_age_s", "config.toml")),
        ("[broker\n", ("config.toml",)),
        ('[[schedules]]\nname = "n"\nvault = "v"\npaths = ["/x"]\ncron = "61 * * * *"\n', ("cron", "61")),
    ],
)
def test_a_setting_that_means_nothing(tmp_path: Path, text: str, says: tuple[str, ...]) -> None:
    room = Strongroom(tmp_path / "home")
    room.run("init")
    config = room.home / "config.toml"
    good = config.read_text()
    config.write_text(text)
    refused(room, "snapshots", "v", says=says)
    refused(room, "up", says=says)
    config.write_text(good)
    assert room.json("vault", "list") == []


def test_no_stack_to_ask_or_to_stop(tmp_path: Path) -> None:
    room = Strongroom(tmp_path / "home")
    room.run("init")
    refused(room, "status", says=("no stack is up",))
    refused(room, "down", says=("no stack is up",))
    shutil.rmtree(room.home / "identities")
    refused(room, "snapshots", "v", says=("operator",))
