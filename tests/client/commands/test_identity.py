"""`strongroom identity`."""

from pathlib import Path

from tests.client.shell import answer, mode, registry, run


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


def test_a_private_part_is_never_overwritten_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "key"
    shown = run(tmp_path / "h", "identity", "new", "--role", "backup", "--out", str(file))
    before = file.read_bytes()
    told = answer(tmp_path / "h", "identity", "new", "--role", "backup", "--out", str(file), code=1)
    assert told["code"] == "enrolment-refused"
    assert file.read_bytes() == before
    file.with_name("key.pub").unlink()
    assert answer(tmp_path / "h", "identity", "show", str(file), code=2)["code"] == "bad-argument"
    assert shown.stdout.count("\n") == 4
