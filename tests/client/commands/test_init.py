"""`strongroom init`."""

from pathlib import Path

import pytest

from tests.client.shell import answer, registry, run


def test_a_home_is_made_once_and_says_where_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = answer(home, "init")
    assert made == {"home": str(home), "tenant": registry(home).tenant.hex()}
    before = (home / "registry.json").read_bytes()
    again = answer(home, "init", code=1)
    assert again["code"] == "already-initialised"
    assert again["remedy"]
    assert (home / "registry.json").read_bytes() == before


def test_a_passphrase_takes_the_place_of_the_key_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRONGROOM_KMS_PASSPHRASE", "correct horse")
    home = tmp_path / "home"
    told = run(home, "init", "--passphrase")
    assert "strongroom vault create" in told.stdout
    assert "correct horse" not in told.stdout + told.stderr
    assert not list((home / "kms").glob("*.key"))
    assert all(b"correct horse" not in path.read_bytes() for path in home.rglob("*") if path.is_file())
