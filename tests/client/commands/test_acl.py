"""`strongroom acl`: the broker's users and their passwords."""

import hashlib
from pathlib import Path

from config.acl import users
from tests.client.shell import (
    answer,
    mode,
    require_closed_folder,
)


def test_every_user_has_a_password_of_its_own_that_stays(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    answer(tmp_path / "h", "acl", str(folder), "--host", "web1")
    first = {path.name: path.read_text() for path in folder.glob("*.password")}
    assert {name.removesuffix(".password") for name in first} == set(users(("web1",)))
    assert len(set(first.values())) == len(first)
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    answer(tmp_path / "h", "acl", str(folder), "--host", "web2")
    text = (folder / "users.acl").read_text()
    for path in folder.glob("*.password"):
        password = path.read_text().strip()
        assert f"user {path.stem} reset on #{hashlib.sha256(password.encode()).hexdigest()} " in text
        assert password not in text
        assert first.get(path.name, path.read_text()) == path.read_text()
    assert set(named_in(text)) == set(users(("web1", "web2")))
    assert {path.stem for path in folder.glob("*.password")} == set(named_in(text))


def named_in(text: str) -> list[str]:
    return [words[1] for line in text.splitlines() if (words := line.split())[1] != "default"]


def test_a_host_leaves_the_broker_when_it_is_said_and_not_before(tmp_path: Path) -> None:
    home, folder = tmp_path / "h", tmp_path / "broker"
    answer(home, "acl", str(folder), "--host", "web1", "--host", "web.2")
    # As docs/operations.md says for a new password: the host is known from the earlier file.
    before = (folder / "backup.web.2.password").read_text()
    (folder / "backup.web.2.password").unlink()
    assert set(answer(home, "acl", str(folder))["users"]) == set(users(("web1", "web.2")))
    assert (folder / "backup.web.2.password").read_text() != before
    # And from the password without the earlier file.
    (folder / "users.acl").unlink()
    assert set(answer(home, "acl", str(folder))["users"]) == set(users(("web1", "web.2")))

    for words in (("--remove-host", "web3"), ("--host", "web1", "--remove-host", "web1")):
        assert answer(home, "acl", str(folder), *words, code=2)["code"] == "bad-argument"
    told = answer(home, "acl", str(folder), "--remove-host", "web1")
    assert (told["removed"], set(told["users"])) == (["web1"], set(users(("web.2",))))
    assert set(named_in((folder / "users.acl").read_text())) == set(users(("web.2",)))
    assert {path.stem for path in folder.glob("*.password")} == set(users(("web.2",)))


def test_its_folder_is_closed_to_others(tmp_path: Path) -> None:
    require_closed_folder(tmp_path, "acl")
