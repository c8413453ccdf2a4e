"""`strongroom pki`: a CA, and what its certificates are for."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.client.shell import answer, mode, require_closed_folder


def test_a_ca_is_made_once_and_issues_more(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    made = answer(tmp_path / "h", "pki", "init", str(folder), "--broker-host", "broker.example")
    assert made["hosts"]["server-broker"] == ["broker.example"]
    assert {path.stem for path in folder.glob("*.crt")} == set(made["certificates"])
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert answer(tmp_path / "h", "pki", "init", str(folder), code=1)["code"] == "already-initialised"
    answer(tmp_path / "h", "pki", "issue", str(folder), "backup.web1")
    answer(tmp_path / "h", "pki", "issue", str(folder), "server-2", "--host", "broker2.example")
    assert answer(tmp_path / "h", "pki", "issue", str(folder), "../x", code=2)["code"] == "bad-argument"
    assert answer(tmp_path / "h", "pki", "issue", str(folder), "ca", code=2)["code"] == "bad-argument"
    assert answer(tmp_path / "h", "pki", "issue", str(tmp_path), "x", code=2)["code"] == "bad-argument"


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
    told = answer(home, "pki", "issue", str(folder), *words, code=2)
    assert told["code"] == "bad-argument"
    assert told["remedy"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_flower_cannot_stand_for_the_broker(tmp_path: Path) -> None:
    home, folder = tmp_path / "h", tmp_path / "pki"
    same = ("--broker-host", "one.example", "--flower-host", "One.example")
    assert answer(home, "pki", "init", str(folder), *same, code=2)["code"] == "bad-argument"
    assert not folder.exists()
    answer(home, "pki", "init", str(folder), "--broker-host", "broker.example", "--flower-host", "f.example")
    assert shown(folder, "server-broker") == (True, ("broker.example",))
    assert shown(folder, "server-flower") == (True, ("f.example",))


def test_its_folder_is_closed_to_others(tmp_path: Path) -> None:
    require_closed_folder(tmp_path, "pki", "init")
