"""Guarantee 6: with the repository and the KMS alone, a fresh machine restores everything."""

import shutil
from pathlib import Path

from tests.whole.room import Strongroom, furnished
from tests.whole.trees import differences, make_nasty, picture

KEYSTORE = "kms"


def test_a_fresh_machine_restores_everything_from_the_repository_and_the_kms(tmp_path: Path) -> None:
    repo, source, vaulted = tmp_path / "repo", tmp_path / "source", tmp_path / "vaulted"
    left_out = make_nasty(source)
    before = {path: what for path, what in picture(source).items() if path not in left_out}
    with furnished(Strongroom(tmp_path / "home"), repo) as first:
        first.run("up")
        ids = [first.json("backup", "v", source, "--tag", word)["snapshot"] for word in ("one", "two")]
    # What the customer has: the KMS. What the store has: the repository, without what jobs in progress keep there.
    shutil.copytree(tmp_path / "home" / KEYSTORE, vaulted)
    shutil.rmtree(tmp_path / "home")
    shutil.rmtree(source)
    shutil.rmtree(repo / "jobs", ignore_errors=True)
    fresh = Strongroom(tmp_path / "another home", STRONGROOM_KMS_KEYSTORE=str(vaulted))
    try:
        fresh.run("init")
        assert fresh.json("vault", "list") == []
        fresh.run("vault", "attach", "found", "--repo", f"file://{repo}", "--kms", "local-kms://main")
        fresh.run("up")
        assert [(line["id"], line["tags"]) for line in fresh.json("snapshots", "found")] == [
            (ids[0], ["one"]), (ids[1], ["two"])
        ]  # fmt: skip
        for number, snapshot in enumerate(ids):
            target = tmp_path / f"target{number}"
            done = fresh.json("restore", "found", f"{snapshot}:{source}", "--target", target)
            assert (done["failed"], done["warnings"]) == ([], [])
            assert differences(before, picture(target)) == []
        # The new home goes on with it: nothing is stored twice.
        (tmp_path / "target0").rename(source)
        again = fresh.json("backup", "found", source)
        assert (again["errors"], again["chunks_new"]) == (0, 0)
        assert fresh.json("check", "found", "--read-data")["problems"] == []
    finally:
        fresh.run("down", code=None)


def test_without_the_key_the_repository_is_worth_nothing(tmp_path: Path) -> None:
    """The control: the store alone is not enough, and nothing is left registered."""
    repo, source = tmp_path / "repo", tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"content")
    with furnished(Strongroom(tmp_path / "home"), repo) as first:
        first.run("backup", "v", source)
    stranger = Strongroom(tmp_path / "stranger")
    stranger.run("init")
    told = stranger.run(
        "vault", "attach", "v", "--repo", f"file://{repo}", "--kms", "local-kms://main", code=1
    ).stderr
    assert "strongroom: " in told
    assert "  -> " in told
    assert stranger.json("vault", "list") == []
