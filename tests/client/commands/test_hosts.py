"""The commands for an installation on several hosts, as far as they need no broker."""

import hashlib
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from client.installation import python_command
from config.acl import users
from config.home import Home
from config.settings import Settings, load
from crypto.registry import Registry
from tests.client.commands.running import answer, run


@pytest.fixture
def admin(tmp_path: Path) -> Path:
    home = tmp_path / "admin"
    run(home, "registry", "new")
    run(home, "vault", "add", "docs", "--repo", "/r/docs", "--kms", "local-kms://docs", "--host", "web1")
    return home


def registry(home: Path) -> Registry:
    return Registry.decode((home / "registry.json").read_bytes())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


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
    run(admin, *vault, *words, code=2 if len(words) == 2 else 1)
    assert (admin / "registry.json").read_bytes() == before
    made = answer(admin, *vault, "--id", "a" * 32, "--tenant", "b" * 32)
    assert (made["vault"], made["tenant"]) == ("a" * 32, "b" * 32)


def test_an_identity_is_made_here_and_enrolled_there(tmp_path: Path, admin: Path) -> None:
    web = tmp_path / "web"
    made = answer(web, "identity", "new", "--role", "backup", "--name", "web one")
    private = web / "identities" / "backup"
    assert (made["private"], mode(private)) == (str(private), 0o600)
    assert answer(web, "identity", "show", str(private))["fingerprint"] == made["fingerprint"]
    words = (made["public"], "--role", "backup", "--vault", "docs", "--host", "web1")
    assert answer(admin, "enrol", *words)["vaults"] == ["docs"]
    (entry,) = registry(admin).identities
    assert (entry.id.hex(), entry.name, entry.roles, entry.host) == (
        made["id"],
        "web one",
        ("backup",),
        "web1",
    )
    assert entry.vaults == (registry(admin).vaults[0].id,)
    assert [each["name"] for each in answer(admin, "enrol", "--list")] == ["web one"]
    assert "web one" in run(admin, "enrol", "--list").stdout

    assert answer(admin, "enrol", "--remove", made["id"][:8])["name"] == "web one"
    assert registry(admin).identities == ()
    assert answer(admin, "enrol", "--remove", made["id"], code=1)["code"] == "enrolment-refused"


def test_what_an_enrolment_replaces_is_said(tmp_path: Path, admin: Path) -> None:
    """`--vault` says which vaults there are, not which are added."""
    run(admin, "vault", "add", "cloud", "--repo", "/r/cloud", "--kms", "local-kms://cloud")
    made = answer(tmp_path / "web", "identity", "new", "--role", "backup", "--name", "web1")
    words = ("enrol", made["public"], "--role", "backup")
    assert answer(admin, *words, "--vault", "docs", "--host", "web1")["replaced"] is None
    told = run(admin, *words, "--vault", "cloud").stdout
    assert f"(backup, {made['id']}) for cloud\n" in told
    assert "no longer as before: for docs on the host web1\n" in told
    replaced = answer(admin, *words)["replaced"]
    assert (replaced["vaults"], replaced["host"]) == (["cloud"], "")
    assert "for every vault\nas it was enrolled before\n" in run(admin, *words).stdout


def test_a_private_part_is_never_overwritten_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "key"
    shown = run(tmp_path / "h", "identity", "new", "--role", "backup", "--out", str(file))
    before = file.read_bytes()
    told = answer(tmp_path / "h", "identity", "new", "--role", "backup", "--out", str(file), code=1)
    assert told["code"] == "enrolment-refused"
    assert file.read_bytes() == before
    file.with_name("key.pub").unlink()
    assert answer(tmp_path / "h", "identity", "show", str(file), code=1)["code"] == "bad-argument"
    assert shown.stdout.count("\n") == 4


@pytest.mark.parametrize(
    ("role", "words", "code"),
    [
        ("backup", ("--role", "restore"), "enrolment-refused"),
        ("backup", ("--role", "backup", "--vault", "none"), "enrolment-refused"),
        ("backup", ("--role", "backup", "--host", "Web 1"), "bad-argument"),
        ("restore", ("--role", "restore", "--host", "web1"), "enrolment-refused"),
    ],
)
def test_what_cannot_be_enrolled_changes_nothing(
    tmp_path: Path, admin: Path, role: str, words: tuple[str, ...], code: str
) -> None:
    made = answer(tmp_path / "h", "identity", "new", "--role", role)
    before = (admin / "registry.json").read_bytes()
    told = answer(admin, "enrol", made["public"], *words, code=1)
    assert told["code"] == code
    assert told["remedy"]
    assert (admin / "registry.json").read_bytes() == before


def test_two_identities_of_one_name_are_refused(tmp_path: Path, admin: Path) -> None:
    for number, code in ((1, 0), (2, 1)):
        made = answer(tmp_path / f"h{number}", "identity", "new", "--role", "backup", "--name", "same")
        answer(admin, "enrol", made["public"], "--role", "backup", code=code)


def test_a_file_that_is_no_public_part_is_refused(tmp_path: Path, admin: Path) -> None:
    file = tmp_path / "x.pub"
    for content in (b"", b"\xff" * 100, b"-----BEGIN STRONGROOM IDENTITY-----\n" + b"A" * 100_000):
        file.write_bytes(content)
        assert answer(admin, "enrol", str(file), "--role", "backup", code=1)["code"] == "malformed"
    missing = answer(admin, "enrol", str(tmp_path / "none.pub"), "--role", "backup", code=1)
    assert missing["code"] == "bad-argument"


def test_a_copy_of_the_registry_is_compared_and_belongs_to_the_installation(
    tmp_path: Path, admin: Path
) -> None:
    copy, other = tmp_path / "copy.json", tmp_path / "other"
    exported = answer(admin, "registry", "export", str(copy))
    assert (exported["vaults"], exported["identities"]) == (1, 0)
    told = answer(other, "registry", "import", str(copy), "--fingerprint", "0" * 32, code=1)
    assert told["code"] == "enrolment-refused"
    assert not (other / "registry.json").exists()
    answer(other, "registry", "import", str(copy), "--fingerprint", exported["fingerprint"])
    assert registry(other) == registry(admin)
    assert load(Home(other), {}) == Settings()
    assert mode(other / "registry.json") == 0o600

    run(tmp_path / "foreign", "registry", "new")
    answer(tmp_path / "foreign", "registry", "import", str(copy), code=1)
    answer(tmp_path / "foreign", "registry", "new", code=1)


def test_an_older_copy_of_the_registry_takes_the_place_of_none(tmp_path: Path, admin: Path) -> None:
    """What was taken out must not come back with a file that somebody has kept."""
    old, new, other = tmp_path / "old.json", tmp_path / "new.json", tmp_path / "other"
    keys = answer(admin, "identity", "new", "--role", "key-broker", "--name", "keys")  # it is kept here
    answer(admin, "enrol", keys["public"], "--role", "key-broker")
    worker = answer(tmp_path / "h", "identity", "new", "--role", "backup", "--name", "backup-1")
    answer(admin, "enrol", worker["public"], "--role", "backup")
    before = answer(admin, "registry", "export", str(old))["serial"]
    answer(other, "registry", "import", str(old))
    answer(admin, "enrol", "--remove", "backup-1")
    after = answer(admin, "registry", "export", str(new))["serial"]
    assert after > before > 0
    assert (
        answer(admin, "enrol", "--list") and answer(admin, "registry", "export", str(new))["serial"] == after
    )

    answer(other, "registry", "import", str(new))
    answer(other, "registry", "import", str(new))  # again does no harm
    told = answer(other, "registry", "import", str(old), code=1)
    assert told["code"] == "enrolment-refused"
    assert "older" in told["error"]
    for copy in (old, new):
        told = answer(admin, "registry", "import", str(copy), code=1)
        assert told["code"] == "enrolment-refused"
        assert "kept" in told["error"]
    for home in (other, admin):
        assert [each.name for each in registry(home).identities] == ["keys"]


def test_a_change_to_a_copy_gives_way_to_the_next_one(tmp_path: Path, admin: Path) -> None:
    copy, other = tmp_path / "copy.json", tmp_path / "other"
    answer(admin, "identity", "new", "--role", "key-broker", "--name", "keys")
    exported = answer(admin, "registry", "export", str(copy))
    answer(other, "registry", "import", str(copy))
    worker = answer(tmp_path / "h", "identity", "new", "--role", "backup", "--name", "backup-1")
    answer(other, "enrol", worker["public"], "--role", "backup")
    assert registry(other).serial == exported["serial"]
    answer(other, "registry", "import", str(copy))
    assert registry(other) == registry(admin)


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
        assert answer(home, "acl", str(folder), *words, code=1)["code"] == "bad-argument"
    told = answer(home, "acl", str(folder), "--remove-host", "web1")
    assert (told["removed"], set(told["users"])) == (["web1"], set(users(("web.2",))))
    assert set(named_in((folder / "users.acl").read_text())) == set(users(("web.2",)))
    assert {path.stem for path in folder.glob("*.password")} == set(users(("web.2",)))


def test_a_ca_is_made_once_and_issues_more(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    made = answer(tmp_path / "h", "pki", "init", str(folder), "--broker-host", "broker.example")
    assert made["hosts"]["server-broker"] == ["broker.example"]
    assert {path.stem for path in folder.glob("*.crt")} == set(made["certificates"])
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert answer(tmp_path / "h", "pki", "init", str(folder), code=1)["code"] == "already-initialised"
    answer(tmp_path / "h", "pki", "issue", str(folder), "backup.web1")
    answer(tmp_path / "h", "pki", "issue", str(folder), "server-2", "--host", "broker2.example")
    assert answer(tmp_path / "h", "pki", "issue", str(folder), "../x", code=1)["code"] == "bad-argument"
    assert answer(tmp_path / "h", "pki", "issue", str(folder), "ca", code=1)["code"] == "bad-argument"
    assert answer(tmp_path / "h", "pki", "issue", str(tmp_path), "x", code=1)["code"] == "bad-argument"


def shown(folder: Path, name: str) -> tuple[bool, tuple[str, ...]]:
    """Whether a certificate is a server's, and its names, as OpenSSL's reading of it says."""
    told = subprocess.run(
        ["openssl", "x509", "-in", str(folder / f"{name}.crt"), "-noout", "-text"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert ("TLS Web Server Authentication" in told) != ("TLS Web Client Authentication" in told)
    names = re.findall(r"(?:DNS|IP Address):([^,\s]+)", told)
    return "TLS Web Server Authentication" in told, tuple(names)


def test_a_certificate_is_renewed_for_what_it_is_for(tmp_path: Path) -> None:
    home, folder = tmp_path / "h", tmp_path / "pki"
    answer(home, "pki", "init", str(folder), "--broker-host", "broker.example", "--broker-host", "10.0.0.7")
    for name, server, names in (
        ("server-broker", True, ("broker.example", "10.0.0.7")),
        ("backup", False, ()),
    ):
        before = (folder / f"{name}.crt").read_bytes()
        assert answer(home, "pki", "issue", str(folder), name)["renewed"]
        assert (folder / f"{name}.crt").read_bytes() != before
        assert shown(folder, name) == (server, names)
    answer(home, "pki", "issue", str(folder), "server-broker", "--host", "new.example")
    assert shown(folder, "server-broker") == (True, ("new.example",))
    assert not answer(home, "pki", "issue", str(folder), "server-s3", "--host", "s3.example")["renewed"]


@pytest.mark.parametrize(
    "words",
    [
        ("backup", "--host", "backup.example"),  # a client's, that stays one
        ("backup.web1", "--host", "web1.example"),  # a role's, that is not there yet
        ("server-s3",),  # a server's, of which no name is known
        ("server-s3", "--host", "flower.example"),  # which is Flower's
        ("server-flower", "--host", "BROKER.example"),
        ("torn",),
    ],
)
def test_no_certificate_becomes_something_else(tmp_path: Path, words: tuple[str, ...]) -> None:
    home, folder = tmp_path / "h", tmp_path / "pki"
    names = ("--broker-host", "broker.example", "--flower-host", "flower.example")
    answer(home, "pki", "init", str(folder), *names)
    (folder / "torn.crt").write_text("no certificate")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    told = answer(home, "pki", "issue", str(folder), *words, code=1)
    assert told["code"] == "bad-argument"
    assert told["remedy"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_flower_cannot_stand_for_the_broker(tmp_path: Path) -> None:
    home, folder = tmp_path / "h", tmp_path / "pki"
    same = ("--broker-host", "one.example", "--flower-host", "One.example")
    assert answer(home, "pki", "init", str(folder), *same, code=1)["code"] == "bad-argument"
    assert not folder.exists()
    answer(home, "pki", "init", str(folder), "--broker-host", "broker.example", "--flower-host", "f.example")
    assert shown(folder, "server-broker") == (True, ("broker.example",))
    assert shown(folder, "server-flower") == (True, ("f.example",))


@pytest.mark.parametrize("words", [("pki", "init"), ("acl",)])
def test_a_folder_for_secrets_is_closed_to_others(tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = tmp_path / "folder"
    for open_to in (0o755, 0o770):
        folder.mkdir()
        folder.chmod(open_to)
        answer(tmp_path / "h", *words, str(folder))
        assert mode(folder) == 0o700
        for path in folder.iterdir():
            path.unlink()
        (folder / "mine").touch()
        folder.chmod(open_to)
        told = answer(tmp_path / "h", *words, str(folder), code=1)
        assert "chmod 700" in told["remedy"]
        assert (mode(folder), [path.name for path in folder.iterdir()]) == (open_to, ["mine"])
        (folder / "mine").unlink()
        folder.rmdir()


def test_a_worker_says_what_its_configuration_lacks(tmp_path: Path) -> None:
    home = tmp_path / "h"
    home.mkdir()
    told = run(home, "worker", "--role", "backup", code=78)
    assert "broker.url" in told.stderr
    (home / "config.toml").write_text('[broker]\nurl = "redis://127.0.0.1:1/0"\n')
    for words, named in (
        (("--role", "restore", "--queue", "backup"), "restore"),
        (("--role", "backup", "--queue", "backup.Web 1"), "backup.<host>"),
        (("--role", "scheduler", "--concurrency", "4"), "scheduler"),
    ):
        assert named in run(home, "worker", *words, code=78).stderr
    (home / "config.toml").write_text('[broker]\nurl = "rediss://broker.example/0"\n')
    assert "ca_file" in run(home, "worker", "--role", "backup", code=78).stderr


def test_the_embedded_stack_is_not_started_beside_a_broker_of_ones_own(tmp_path: Path) -> None:
    home = tmp_path / "h"
    run(home, "init")
    (home / "config.toml").write_text('[broker]\nurl = "redis://127.0.0.1:1/0"\n')
    told = answer(home, "up", code=1)
    assert told["code"] == "not-embedded"
    assert "strongroom worker" in told["remedy"]
    assert os.listdir(home / "run") == []
