"""`strongroom registry`: one host keeps it, the others have copies."""

from pathlib import Path

from config.home import Home
from config.settings import Settings, load
from tests.client.shell import answer, mode, registry, run


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
