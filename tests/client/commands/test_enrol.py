"""`strongroom enrol`: who is let in, and what changes nothing."""

from pathlib import Path

import pytest

from tests.client.shell import answer, run


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
    told = answer(admin, "enrol", made["public"], *words, code=2 if code == "bad-argument" else 1)
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
    missing = answer(admin, "enrol", str(tmp_path / "none.pub"), "--role", "backup", code=2)
    assert missing["code"] == "bad-argument"
