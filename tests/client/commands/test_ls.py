"""`strongroom ls`."""

from typing import Any

from tests.client.shell import Shell, restored


def test_ls(shell: Shell, snapshot: dict[str, Any]):
    lines = shell.json("ls", "docs", f"{snapshot['snapshot']}:{shell.root}/tree")
    by_path = {line["path"]: line for line in lines}
    odd = next(line for line in lines if "path_b64" in line)
    assert odd["path"].encode("utf-8", "surrogateescape").endswith(b"/caf\xe9")
    assert by_path[f"{shell.root}/tree/sub/link"]["target"] == "deep/big"
    assert by_path[f"{shell.root}/tree/sub/deep/big"]["size"] == 3 << 20
    assert "caf\\xe9" in shell.run("ls", "docs", snapshot["snapshot"][:8]).stdout


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
    assert shell.json("ls", "mixed", "latest:licenses", code=2)["code"] == "bad-argument"
