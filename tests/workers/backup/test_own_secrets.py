"""Which files a worker counts as its own secrets."""

from pathlib import Path

from config.broker import BrokerSettings
from config.home import Home
from config.settings import KmsSettings, MonitorSettings, Settings
from workers.backup.own_secrets import own_secrets

HOME = Home(Path("/h"))
FOLDERS = {Path("/h/identities"), Path("/h/kms"), Path("/h/run")}
AWS = {"AWS_SHARED_CREDENTIALS_FILE": "/a/keys", "AWS_WEB_IDENTITY_TOKEN_FILE": "/a/token"}
REMOTE = "rediss://broker:6379/0"


def test_of_the_embedded_stack_its_home_alone() -> None:
    assert set(own_secrets(HOME, Settings(), AWS)) == FOLDERS


def test_of_a_service_all_that_its_settings_and_its_system_name() -> None:
    broker = BrokerSettings(url=REMOTE, password_file="/s/password", key_file="/s/tls.key", ca_file="/s/ca")
    kms = KmsSettings(keystore="/k", passphrase_file="/s/phrase")
    monitor = MonitorSettings(flower_password_file="/s/flower", flower_key_file="/s/flower.key")
    environment = {**AWS, "CREDENTIALS_DIRECTORY": "/run/credentials/x", "HOME": "/h"}
    found = set(own_secrets(HOME, Settings(broker=broker, kms=kms, monitor=monitor), environment))
    named = "/s/password /s/tls.key /k /s/phrase /s/flower /s/flower.key /run/credentials/x /a/keys /a/token"
    assert found == FOLDERS | {Path(path) for path in named.split()} | {Path("~/.aws").expanduser()}


def test_of_settings_with_a_password_in_them_the_file_itself() -> None:
    with_url = BrokerSettings(url="rediss://backup:word@broker:6379/0")
    assert HOME.settings_file in set(own_secrets(HOME, Settings(broker=with_url), {}))
    assert HOME.settings_file in set(
        own_secrets(HOME, Settings(monitor=MonitorSettings(flower_password="x")), {})
    )
    assert HOME.settings_file not in set(own_secrets(HOME, Settings(broker=BrokerSettings(url=REMOTE)), {}))


def test_of_a_service_those_of_other_roles_homes_beside_it(tmp_path: Path) -> None:
    for name in ("backup", "key-broker"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "registry.json").touch()
    (tmp_path / "unrelated").mkdir()
    home, settings = Home(tmp_path / "backup"), Settings(broker=BrokerSettings(url=REMOTE))
    found = {
        path.relative_to(tmp_path)
        for path in own_secrets(home, settings, {})
        if path.is_relative_to(tmp_path)
    }
    assert found == {
        Path(home, part) for home in ("backup", "key-broker") for part in ("identities", "kms", "run")
    }
