import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crypto.kms.admin import main
from crypto.kms.keystore import Keystore
from crypto.kms.lock import PASSPHRASE, PASSPHRASE_VARIABLE


@pytest.fixture
def kms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `strongroom-kms` on a fresh home."""
    monkeypatch.setenv("STRONGROOM_HOME", str(tmp_path))
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)

    def run(*arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(main, arguments, input=typed)

    return run


def test_life_of_a_key(kms: Any) -> None:
    assert kms("init").exit_code == 0
    assert kms("create", "photos").exit_code == 0
    assert json.loads(kms("disable", "photos", "--json").output)["state"] == "disabled"
    assert "disabled" in kms("list").output
    assert json.loads(kms("enable", "photos", "--json").output)["state"] == "enabled"
    assert json.loads(kms("schedule-deletion", "photos", "--days", "7", "--json").output)["deletion_ms"] > 0
    assert "destroyed on" in kms("list").output
    assert kms("cancel-deletion", "photos").exit_code == 0
    (shown,) = json.loads(kms("list", "--json").output)
    assert (shown["name"], shown["state"]) == ("photos", "disabled")
    assert "sealed" not in shown


def test_create_makes_the_keystore_when_there_is_none(kms: Any, tmp_path: Path) -> None:
    assert kms("create", "photos").exit_code == 0
    assert (tmp_path / "kms" / "keystore.key").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("disable", "nothing"), "no CMK of that name"),
        (("create", "a/b"), "letters, digits"),
        (("create", "photos"), "choose another name"),
        (("cancel-deletion", "photos"), "nothing to cancel"),
        (("init",), "already"),
    ],
)
def test_mistakes_are_told_in_words_and_fail(kms: Any, arguments: tuple[str, ...], says: str) -> None:
    kms("create", "photos")
    result = kms(*arguments)
    assert result.exit_code == 1
    assert says in result.stderr
    assert "Traceback" not in result.output + result.stderr


@pytest.mark.parametrize("days", ["0", "6", "31"])
def test_deletion_has_a_waiting_time(kms: Any, days: str) -> None:
    kms("create", "photos")
    assert kms("schedule-deletion", "photos", "--days", days).exit_code == 2


@pytest.mark.usefixtures("cheap_argon2")
def test_passphrase_is_asked_twice_and_never_shown(kms: Any, tmp_path: Path) -> None:
    result = kms("init", "--passphrase", typed="correct horse\ncorrect horse\n")
    assert result.exit_code == 0
    assert "correct horse" not in result.output + result.stderr
    assert not (tmp_path / "kms" / "keystore.key").exists()
    assert kms("create", "photos", typed="wrong\n").exit_code == 1
    assert kms("create", "photos", typed="correct horse\n").exit_code == 0


@pytest.mark.usefixtures("cheap_argon2")
def test_passphrase_from_the_environment(kms: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    assert kms("create", "photos").exit_code == 0
    stored = (tmp_path / "kms" / "keystore.json").read_text()
    assert json.loads(stored)["lock"]["kind"] == PASSPHRASE
    keystore = Keystore(tmp_path / "kms", lambda: b"correct horse")
    keystore.open(keystore.find("photos")).wipe()
