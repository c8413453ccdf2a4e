"""One stack for all commands, kept up from the first test that asks for it to the last test of this folder."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.shell import Shell, run


@pytest.fixture(scope="package")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A home whose stack is up, with the vault `docs` and a tree to back up."""
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


@pytest.fixture(scope="package")
def snapshot(shell: Shell) -> dict[str, Any]:
    """The tree in the vault `docs`."""
    found: dict[str, Any] = shell.json(
        "backup", "docs", str(shell.root / "tree"), "--tag", "t", "--exclude", "*.tmp"
    )
    return found


@pytest.fixture(scope="package")
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


@pytest.fixture
def admin(tmp_path: Path) -> Path:
    """The home of an installation on several hosts where the registry is kept; it needs no broker."""
    home = tmp_path / "admin"
    run(home, "registry", "new")
    run(home, "vault", "add", "docs", "--repo", "/r/docs", "--kms", "local-kms://docs", "--host", "web1")
    return home
