"""The commands on a real stack: one that is kept up for the module, and one of a single command."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from client.compare import compare
from client.installation import python_command
from tests.client.commands.running import answer, run

CLOSED = "endpoint=http://127.0.0.1:9&region=us-east-1"
"""The port of the discard service, where nobody listens."""


@dataclass
class Shell:
    """Runs the real command in a home of its own."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return run(self.home, *words, code=code)

    def json(self, *words: str, code: int = 0) -> Any:
        return answer(self.home, *words, code=code)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("commands"))
    tree = shell.root / "tree"
    (tree / "sub/deep").mkdir(parents=True)
    for number in range(40):
        (tree / f"sub/{number}.txt").write_bytes(b"%d" % number * 1000)
    (tree / "sub/deep/big").write_bytes(os.urandom(3 << 20))
    (tree / "sub/link").symlink_to("deep/big")
    os.link(tree / "sub/1.txt", tree / "hard")
    (tree / os.fsdecode(b"caf\xe9")).write_bytes(b"latin")
    (tree / "empty").mkdir()
    shell.run("init")
    shell.run("up")
    try:
        shell.run(
            "vault", "create", "docs", "--repo", str(shell.root / "repository"), "--kms", "local-kms://docs"
        )
        yield shell
    finally:
        shell.run("down")


@pytest.fixture(scope="module")
def snapshot(shell: Shell) -> dict[str, Any]:
    found: dict[str, Any] = shell.json(
        "backup", "docs", str(shell.root / "tree"), "--tag", "t", "--exclude", "*.tmp"
    )
    return found


def restored(shell: Shell, name: str) -> Path:
    return shell.root / "restored" / name


def test_backup_says_what_it_did(snapshot: dict[str, Any]):
    assert snapshot["files"] == 44
    assert snapshot["errors"] == 0
    assert snapshot["chunks_new"] > 0
    assert {"snapshot", "dirs", "bytes_read", "bytes_stored", "chunks_reused", "seconds", "kms_calls"} <= set(
        snapshot
    )


def test_a_second_backup_reads_nothing(shell: Shell, snapshot: dict[str, Any]):
    time.sleep(0.05)  # a stamp taken within the clock's tick of a change is never trusted
    again = shell.json("backup", "docs", str(shell.root / "tree"))
    assert again["snapshot"] != snapshot["snapshot"]
    assert again["files"] == snapshot["files"]


def test_snapshots(shell: Shell, snapshot: dict[str, Any]):
    first = next(line for line in shell.json("snapshots", "docs") if line["id"] == snapshot["snapshot"])
    assert (first["tags"], first["paths"]) == (["t"], [str(shell.root / "tree")])
    assert {"id", "time", "paths", "tags", "files", "bytes"} <= set(first)
    assert snapshot["snapshot"][:12] in shell.run("snapshots", "docs").stdout


def test_ls(shell: Shell, snapshot: dict[str, Any]):
    lines = shell.json("ls", "docs", f"{snapshot['snapshot']}:{shell.root}/tree")
    by_path = {line["path"]: line for line in lines}
    odd = next(line for line in lines if "path_b64" in line)
    assert odd["path"].encode("utf-8", "surrogateescape").endswith(b"/caf\xe9")
    assert by_path[f"{shell.root}/tree/sub/link"]["target"] == "deep/big"
    assert by_path[f"{shell.root}/tree/sub/deep/big"]["size"] == 3 << 20
    assert "caf\\xe9" in shell.run("ls", "docs", snapshot["snapshot"][:8]).stdout


def test_restore_of_everything(shell: Shell, snapshot: dict[str, Any]):
    target = restored(shell, "all")
    done = shell.json("restore", "docs", snapshot["snapshot"][:10], "--target", str(target))
    assert (done["snapshot"], done["errors"], done["failed"]) == (snapshot["snapshot"], 0, [])
    assert done["files"] == 44
    found = compare(shell.root / "tree", target / str(shell.root / "tree").lstrip("/"))
    assert found.differences == []


def test_restore_of_a_part(shell: Shell, snapshot: dict[str, Any]):
    target = restored(shell, "part")
    shell.run("restore", "docs", f"{snapshot['snapshot']}:{shell.root}/tree/sub", "--target", str(target))
    assert compare(shell.root / "tree/sub", target).differences == []


def test_restore_of_a_single_file(shell: Shell, snapshot: dict[str, Any]):
    target = restored(shell, "single")
    shell.run(
        "restore", "docs", f"{snapshot['snapshot']}:{shell.root}/tree/sub/deep/big", "--target", str(target)
    )
    assert [path.name for path in target.iterdir()] == ["big"]
    assert (target / "big").read_bytes() == (shell.root / "tree/sub/deep/big").read_bytes()


def test_restore_with_patterns(shell: Shell, snapshot: dict[str, Any]):
    target = restored(shell, "patterns")
    done = shell.json(
        "restore",
        "docs",
        snapshot["snapshot"],
        "--target",
        str(target),
        "--include",
        "*.txt",
        "--exclude",
        "1*.txt",
    )
    names = {path.name for path in target.rglob("*") if path.is_file()}
    assert names == {f"{number}.txt" for number in range(40) if not str(number).startswith("1")}
    assert done["files"] == len(names)


@pytest.fixture(scope="module")
def mixed(shell: Shell) -> dict[str, str]:
    """A vault in which two folders are backed up in turn, and something is removed from the first: ids by name."""
    shell.run("vault", "create", "mixed", "--repo", str(shell.root / "mixed"), "--kms", "local-kms://docs")
    www, etc = shell.root / "www", shell.root / "etc"
    for folder, name in ((www, "page"), (www, "gone"), (etc, "conf")):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode())
    ids = {"first": shell.json("backup", "mixed", str(www), "--tag", "daily", "--tag", "old")["snapshot"]}
    (www / "gone").unlink()
    ids["second"] = shell.json("backup", "mixed", str(www), "--tag", "daily")["snapshot"]
    ids["etc"] = shell.json("backup", "mixed", str(etc))["snapshot"]
    return ids


def test_latest_is_the_newest_snapshot_that_has_the_path(shell: Shell, mixed: dict[str, str]):
    for path, expected in (("/www", "second"), ("/www/gone", "first"), ("/etc/conf", "etc"), ("", "etc")):
        wanted = f"latest:{shell.root}{path}" if path else "latest"
        target = restored(shell, f"mixed-{expected}{len(path)}")
        done = shell.run("restore", "mixed", wanted, "--target", str(target), "--json")
        assert json.loads(done.stdout.splitlines()[-1])["snapshot"] == mixed[expected]
        assert f"the latest is snapshot {mixed[expected][:12]} of 20" in done.stderr
        listing = shell.run("ls", "mixed", wanted)
        assert mixed[expected][:12] in listing.stderr
    assert (restored(shell, "mixed-first9") / "gone").read_bytes() == b"gone"


def test_a_path_that_no_snapshot_has_is_told_with_what_the_newest_has(shell: Shell, mixed: dict[str, str]):
    target = restored(shell, "mixed-none")
    for words in (
        ("restore", "mixed", "latest:/nowhere", "--target", str(target)),
        ("ls", "mixed", "latest:/nowhere"),
    ):
        answer = shell.json(*words, code=1)
        assert answer["code"] == "no-such-path"
        assert mixed["etc"][:12] in answer["error"]
        assert str(shell.root / "etc") in answer["error"]
    answer = shell.json("ls", "mixed", f"{mixed['second']}:{shell.root}/etc", code=1)
    assert answer["code"] == "no-such-path"
    assert str(shell.root / "www") in answer["error"]


def test_snapshots_are_chosen_by_host_tag_and_path(shell: Shell, mixed: dict[str, str]):
    host = shell.json("snapshots", "mixed")[0]["hostname"]
    www, etc = str(shell.root / "www"), str(shell.root / "etc")
    for options, expected in (
        (("--host", host), ["first", "second", "etc"]),
        (("--host", "other"), []),
        (("--host", "other", "--host", host), ["first", "second", "etc"]),
        (("--tag", "daily"), ["first", "second"]),
        (("--tag", "daily,old"), ["first"]),
        (("--tag", "none", "--tag", "daily"), ["first", "second"]),
        (("--path", www), ["first", "second"]),
        (("--path", www, "--path", etc), []),
        (("--path", etc, "--tag", "daily"), []),
    ):
        found = [line["id"] for line in shell.json("snapshots", "mixed", *options)]
        assert found == [mixed[each] for each in expected], options
        listing = shell.run("ls", "mixed", "latest", *options, code=0 if expected else 1)
        assert (mixed[expected[-1]][:12] if expected else "no snapshot of this vault") in listing.stderr
    target = restored(shell, "mixed-tag")
    done = shell.json("restore", "mixed", "latest", "--tag", "daily,old", "--target", str(target))
    assert done["snapshot"] == mixed["first"]
    refused = shell.json("ls", "mixed", mixed["first"], "--tag", "daily", code=1)
    assert refused["code"] == "bad-argument"


def test_a_target_that_is_not_empty_is_refused(shell: Shell, snapshot: dict[str, Any]):
    target = restored(shell, "taken")
    target.mkdir(parents=True)
    (target / "mine").write_bytes(b"x")
    answer = shell.json("restore", "docs", snapshot["snapshot"], "--target", str(target), code=1)
    assert answer["code"] == "target-not-empty"
    assert [path.name for path in target.iterdir()] == ["mine"]


def test_a_snapshot_that_is_not_there(shell: Shell, snapshot: dict[str, Any]):
    target = restored(shell, "none")
    answer = shell.json("restore", "docs", "ffffffff", "--target", str(target), code=1)
    assert answer["code"] == "no-such-snapshot"
    assert answer["remedy"]
    assert not target.exists() or list(target.iterdir()) == []


def test_a_damaged_pack_names_every_file_that_needs_it_and_delivers_the_others(shell: Shell, tmp_path: Path):
    source, repository, out = tmp_path / "source", tmp_path / "repository", tmp_path / "out"
    source.mkdir()
    for name in ("one", "two", "three"):
        (source / name).write_bytes(os.urandom(5 << 20))
    shell.run("vault", "create", "fragile", "--repo", str(repository), "--kms", "local-kms://docs")
    shell.json("backup", "fragile", str(source))
    pack = next(path for path in (repository / "packs").rglob("*") if path.is_file())
    data = bytearray(pack.read_bytes())
    data[2000] ^= 1
    pack.write_bytes(data)
    done = shell.json("restore", "fragile", "latest", "--target", str(out), code=3)
    failed = {Path(each["path"]).name for each in done["failed"]}
    delivered = {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert len(failed) == done["errors"] == 1
    assert failed | set(delivered) == {"one", "two", "three"}
    assert delivered == {name: (source / name).read_bytes() for name in delivered}
    assert shell.json("check", "fragile", "--read-data", code=3)["problems"]
    everything = shell.run(
        "restore", "fragile", f"latest:{source}/{failed.pop()}", "--target", str(tmp_path / "x"), code=1
    )
    assert "could not be restored" in everything.stderr


def test_check(shell: Shell, snapshot: dict[str, Any]):
    assert shell.json("check", "docs", "--read-data")["errors"] == 0


def test_attach_from_the_repository_alone(shell: Shell, snapshot: dict[str, Any], tmp_path: Path):
    other = Shell(tmp_path)
    other.run("init")
    kms = tmp_path / "home/kms"
    for file in (shell.root / "home/kms").iterdir():
        (kms / file.name).write_bytes(file.read_bytes())
    entry = other.json(
        "vault", "attach", "found", "--repo", str(shell.root / "repository"), "--kms", "local-kms://docs"
    )
    assert entry["name"] == "found"
    assert snapshot["snapshot"] in [line["id"] for line in other.json("snapshots", "found")]
    again = other.json(
        "vault",
        "attach",
        "twice",
        "--repo",
        str(shell.root / "repository"),
        "--kms",
        "local-kms://docs",
        code=1,
    )
    assert again["code"] == "vault-exists"


def test_a_vault_that_could_not_be_made_is_not_registered(shell: Shell):
    before = shell.json("vault", "list")
    taken = shell.json(
        "vault",
        "create",
        "more",
        "--repo",
        str(shell.root / "repository"),
        "--kms",
        "local-kms://docs",
        code=1,
    )
    assert taken["code"] == "vault-exists"
    same = shell.json(
        "vault",
        "create",
        "docs",
        "--repo",
        str(shell.root / "elsewhere"),
        "--kms",
        "local-kms://docs",
        code=1,
    )
    assert same["code"] == "vault-exists"
    (shell.root / "file").write_bytes(b"")
    shell.json(
        "vault", "create", "bad", "--repo", str(shell.root / "file/x"), "--kms", "local-kms://docs", code=1
    )
    assert shell.json("vault", "list") == before


def test_a_vault_that_exists_is_not_said_to_be_made_again(shell: Shell, snapshot: dict[str, Any]):
    words = ("vault", "create", "again", "--repo", str(shell.root / "again"), "--kms", "local-kms://docs")
    first = shell.json(*words)
    before = {path: path.read_bytes() for path in (shell.root / "again").rglob("*") if path.is_file()}
    second = shell.json(*words)
    said = shell.run(*words).stdout
    after = {path: path.read_bytes() for path in (shell.root / "again").rglob("*") if path.is_file()}
    assert (first.pop("made"), second.pop("made")) == (True, False)
    assert first == second
    assert "exists already" in said
    assert "made" not in said
    assert before == after


@pytest.mark.parametrize(
    ("repo", "kms", "differs", "same"),
    [
        ("elsewhere", "local-kms://docs", "repository", "CMK"),
        ("repository", "local-kms://other", "CMK", "repository"),
    ],
)
def test_a_vault_that_exists_with_other_uris_is_refused(
    shell: Shell, repo: str, kms: str, differs: str, same: str
):
    words = ("vault", "create", "docs", "--repo", str(shell.root / repo), "--kms", kms)
    answer = shell.json(*words, code=1)
    assert answer["code"] == "vault-exists"
    assert f"its {differs} is " in answer["error"]
    assert f"its {same} is " not in answer["error"]
    assert not (shell.root / "elsewhere").exists()


def test_a_forgotten_vault_is_as_it_was_and_comes_back_by_the_command_that_is_told(
    shell: Shell, snapshot: dict[str, Any]
):
    before = shell.json("vault", "list")
    ids = [line["id"] for line in shell.json("snapshots", "docs")]
    assert shell.json("vault", "forget", "docs", code=1)["code"] == "bad-argument"
    assert shell.json("vault", "list") == before
    told = shell.json("vault", "forget", "docs", "--yes")
    assert "docs" not in [entry["name"] for entry in shell.json("vault", "list")]
    assert shell.json("snapshots", "docs", code=1)["code"] == "unknown-vault"
    assert shell.json("vault", "forget", "docs", "--yes", code=1)["code"] == "unknown-vault"
    words = shlex.split(told["again"])
    assert words[:3] == ["strongroom", "vault", "attach"]
    shell.run(*words[1:])
    assert {each["vault"] for each in shell.json("vault", "list")} == {each["vault"] for each in before}
    assert [line["id"] for line in shell.json("snapshots", "docs")] == ids


def test_a_vault_that_a_schedule_names_is_not_forgotten(tmp_path: Path):
    own = Shell(tmp_path)
    own.run("init")
    own.run("vault", "create", "v", "--repo", str(tmp_path / "repository"), "--kms", "local-kms://v")
    schedule = '[[schedules]]\nname = "nightly"\nvault = "v"\npaths = ["/etc"]\ncron = "0 3 * * *"\n'
    retention = '[[retention]]\nname = "weekly"\nvault = "v"\ncron = "0 3 * * 0"\nkeep_last = 1\n'
    (tmp_path / "home/config.toml").write_text(schedule + retention)
    refused = own.json("vault", "forget", "v", "--yes", code=1)
    assert refused["code"] == "vault-in-use"
    assert "'nightly'" in refused["error"]
    assert "'weekly'" in refused["error"]
    assert own.json("vault", "forget", "v", "--yes", "--force")["name"] == "v"
    assert own.json("vault", "list") == []


def test_a_vault_of_which_a_job_runs_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("STRONGROOM_S3_ACCESS_KEY_ID", "STRONGROOM_S3_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    own = Shell(tmp_path)
    own.run("init")
    own.run("vault", "create", "v", "--repo", str(tmp_path / "repository"), "--kms", "local-kms://v")
    command, environment = python_command("client.main", "backup", "v", f"s3://bucket/x?{CLOSED}")
    child = subprocess.Popen(
        command,
        env={**environment, "STRONGROOM_HOME": str(tmp_path / "home")},
        stderr=subprocess.PIPE,
    )
    try:
        assert child.stderr is not None
        assert b"trying again until" in child.stderr.readline()
        refused = own.json("vault", "forget", "v", "--yes", code=1)
        assert (refused["code"], "a backup job" in refused["error"]) == ("vault-in-use", True)
    finally:
        child.send_signal(2)
        child.communicate(timeout=60)
    assert child.returncode == 130
    assert own.json("vault", "forget", "v", "--yes")["name"] == "v"


def test_status_jobs_and_schedules(shell: Shell, snapshot: dict[str, Any]):
    status = shell.json("status")
    assert status["ready"]
    assert set(status["queues"]) == {"scheduler", "keys", "backup", "restore", "maintenance"}
    assert status["roles"]["key-broker"]["totals"]["kms_calls"] > 0
    assert "kms_calls" in shell.run("status").stdout
    kinds = {line["kind"]: line["state"] for line in shell.json("jobs")}
    assert kinds["init"] == "done"
    assert "backup" in shell.run("jobs").stdout
    assert shell.json("schedule", "list") == []


def test_a_second_stack_is_refused(shell: Shell):
    answer = shell.json("up", code=1)
    assert "up already" in answer["error"]


def test_a_command_brings_its_own_stack_and_takes_it_down(shell: Shell, tmp_path: Path):
    own = Shell(tmp_path)
    own.run("init")
    own.run("vault", "create", "v", "--repo", str(tmp_path / "repository"), "--kms", "local-kms://v")
    own.json("backup", "v", str(shell.root / "tree/sub"))
    assert stack_processes(tmp_path) == []
    assert not (tmp_path / "home/run/stack.json").exists()


def test_nothing_is_left_when_a_command_is_killed(shell: Shell, tmp_path: Path):
    own = Shell(tmp_path)
    own.run("init")
    own.run("vault", "create", "v", "--repo", str(tmp_path / "repository"), "--kms", "local-kms://v")
    command, environment = python_command("client.main", "backup", "v", "/usr/lib")
    child = subprocess.Popen(
        command,
        env={**environment, "STRONGROOM_HOME": str(tmp_path / "home")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: len(stack_processes(tmp_path)) > 0)
    child.kill()
    child.wait()
    wait_for(lambda: stack_processes(tmp_path) == [])


def test_ctrl_c_ends_a_command_with_130_and_leaves_nothing(shell: Shell, tmp_path: Path):
    own = Shell(tmp_path)
    own.run("init")
    own.run("vault", "create", "v", "--repo", str(tmp_path / "repository"), "--kms", "local-kms://v")
    command, environment = python_command("client.main", "backup", "v", "/usr/lib", "--json")
    child = subprocess.Popen(
        command,
        env={**environment, "STRONGROOM_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(lambda: any((tmp_path / "repository").glob("jobs/*/plan")))
    child.send_signal(2)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, (out, err)
    assert json.loads(out.splitlines()[-1])["code"] == "interrupted"
    assert b"Traceback" not in err
    assert stack_processes(tmp_path) == []
    assert not list((tmp_path / "repository").glob("snapshots/*"))


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


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
