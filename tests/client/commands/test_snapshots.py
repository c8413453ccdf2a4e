"""`strongroom snapshots`."""

from typing import Any

from tests.client.shell import Shell, restored


def test_snapshots(shell: Shell, snapshot: dict[str, Any]):
    first = next(line for line in shell.json("snapshots", "docs") if line["id"] == snapshot["snapshot"])
    assert (first["tags"], first["paths"]) == (["t"], [str(shell.root / "tree")])
    assert {"id", "time", "paths", "tags", "files", "bytes"} <= set(first)
    assert snapshot["snapshot"][:12] in shell.run("snapshots", "docs").stdout


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
    refused = shell.json("ls", "mixed", mixed["first"], "--tag", "daily", code=2)
    assert refused["code"] == "bad-argument"
