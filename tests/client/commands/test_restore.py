"""`strongroom restore`: all of a snapshot, parts of it, and what cannot be had."""

import json
import os
from pathlib import Path
from typing import Any

from client.compare import compare
from tests.client.shell import Shell, restored


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
