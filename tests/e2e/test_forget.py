"""Forgetting with the installed command: what goes is gone, what stays restores, and no data leave the repository."""

from pathlib import Path

from tests.whole.room import Strongroom, make_tree, read_tree


def test_forgotten_snapshots_are_gone_and_the_others_restore(stack: Strongroom, tmp_path: Path) -> None:
    source, states = tmp_path / "source", []
    for number in range(4):
        make_tree(source, files=20, seed=number)
        states.append(
            (stack.json("backup", "v", source, "--tag", f"n{number}")["snapshot"], read_tree(source))
        )
    packs = sorted((tmp_path / "repo" / "packs").rglob("*"))

    assert "nothing says" in stack.run("forget", "v", code=2).stderr
    assert "as well" in stack.run("forget", "v", states[0][0], "--keep-last", "1", code=2).stderr
    dry = stack.json("forget", "v", "--keep-last", "1", "--dry-run")
    assert (dry["removed"], dry["kept"]) == (3, 1)
    assert len(stack.json("snapshots", "v")) == 4

    assert stack.json("forget", "v", states[0][0][:12])["removed"] == 1
    kept = stack.json("forget", "v", "--keep-last", "1", "--keep-tag", "n1")
    reasons = {line["id"]: line.get("reasons") for line in kept["snapshots"]}
    assert reasons == {states[1][0]: ["tag"], states[2][0]: None, states[3][0]: ["last"]}
    refused = stack.run("forget", "v", "--keep-tag", "none", code=1)
    assert "nothing was removed" in refused.stderr

    assert [line["id"] for line in stack.json("snapshots", "v")] == [states[1][0], states[3][0]]
    assert sorted((tmp_path / "repo" / "packs").rglob("*")) == packs
    for number in (1, 3):
        snapshot, content = states[number]
        stack.run("restore", "v", f"{snapshot}:{source}", "--target", tmp_path / f"out{number}")
        assert read_tree(tmp_path / f"out{number}") == content
    assert stack.json("check", "v", "--read-data")["problems"] == []
    table = stack.run("forget", "v", "--keep-daily", "7").stdout
    assert "kept: daily" in table
    assert "0 gone, 2 kept" in table


def test_a_backup_goes_on_from_what_is_left(stack: Strongroom, tmp_path: Path) -> None:
    source = tmp_path / "source"
    content = make_tree(source, files=20)
    only = stack.json("backup", "v", source)["snapshot"]
    stack.run("forget", "v", only)
    assert stack.json("snapshots", "v") == []
    again = stack.json("backup", "v", source)
    assert again["chunks_new"] == 0, "its chunks are stored still"
    stack.run("restore", "v", f"{again['snapshot']}:{source}", "--target", tmp_path / "out")
    assert read_tree(tmp_path / "out") == content
