"""`strongroom vault`: made, attached, registered, forgotten."""

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from client.installation import python_command
from tests.client.shell import Shell, answer, registry, run

CLOSED = "endpoint=http://127.0.0.1:9&region=us-east-1"
"""The port of the discard service, where nobody listens."""


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
    assert shell.json("vault", "forget", "docs", code=2)["code"] == "bad-argument"
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


@pytest.mark.parametrize(("said", "code", "left"), [(b"n\n", 130, 1), (b"y\n", 0, 0)])
def test_a_person_is_asked_before_a_vault_is_forgotten(
    admin: Path, said: bytes, code: int, left: int
) -> None:
    command, environment = python_command("client.main", "vault", "forget", "docs")
    keyboard, terminal = os.openpty()
    os.write(keyboard, said)
    done = subprocess.run(
        command,
        env={**environment, "STRONGROOM_HOME": str(admin)},
        stdin=terminal,
        capture_output=True,
        timeout=60,
        check=False,
    )
    os.close(keyboard)
    os.close(terminal)
    assert done.returncode == code
    assert b"look on a client first" in done.stderr
    assert len(registry(admin).vaults) == left


@pytest.mark.parametrize(
    "words", [("--id", "0" * 32), ("--tenant", "0" * 32), ("--id", "0" * 31, "--tenant", "0" * 32)]
)
def test_a_vault_that_exists_is_registered_by_both_its_ids(admin: Path, words: tuple[str, ...]) -> None:
    before = (admin / "registry.json").read_bytes()
    vault = ("vault", "add", "old", "--repo", "/r/old", "--kms", "local-kms://docs")
    run(admin, *vault, *words, code=2)
    assert (admin / "registry.json").read_bytes() == before
    made = answer(admin, *vault, "--id", "a" * 32, "--tenant", "b" * 32)
    assert (made["vault"], made["tenant"]) == ("a" * 32, "b" * 32)
