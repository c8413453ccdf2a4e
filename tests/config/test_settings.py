"""Settings: the file, the environment over it, and what is refused."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.home import Home
from config.settings import MAX_SETTINGS_BYTES, Settings, load

SCHEDULE = """
[[schedules]]
name = "nightly"
vault = "main"
paths = ["/srv"]
cron = "30 2 * * *"
timezone = "Europe/Berlin"
"""


def loaded(tmp_path: Path, text: str, **environment: str) -> Settings:
    (tmp_path / "config.toml").write_text(text)
    return load(Home(tmp_path), environment)


def test_no_file_means_defaults(tmp_path: Path) -> None:
    settings = load(Home(tmp_path), {})
    assert settings.broker.url == ""
    assert settings.cache.max_age_s == 300
    assert settings.workers.backup >= 1
    assert settings.schedules == ()


def test_the_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    text = "[workers]\nbackup = 3\nrestore = 4\n" + SCHEDULE
    settings = loaded(
        tmp_path, text, STRONGROOM_WORKERS_BACKUP="7", STRONGROOM_KMS_RATE="2.5", STRONGROOM_HOME="/x"
    )
    assert (settings.workers.backup, settings.workers.restore, settings.kms.rate) == (7, 4, 2.5)
    assert settings.schedules[0].name == "nightly"
    assert settings.schedules[0].catch_up is True


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[workers]\nbakcup = 3\n", "workers.bakcup"),
        ("[worker]\nbackup = 3\n", "worker"),
        ("[workers]\nbackup = 0\n", "workers.backup"),
        ('[workers]\nbackup = "3"\n', "workers.backup"),
        ("[cache]\nmax_age_s = 901\n", "cache.max_age_s"),
        ("[kms]\nrate = 0.0\n", "kms.rate"),
        ("[workers\n", "not TOML"),
        (SCHEDULE.replace("30 2", "61 2"), "nightly.cron"),
        (SCHEDULE.replace("Berlin", "Nowhere"), "nightly.timezone"),
        (SCHEDULE.replace("/srv", "srv"), "schedules[0].paths[0]"),
        (SCHEDULE.replace("/srv", "s3:///srv"), "schedules[0].paths[0]"),
        (SCHEDULE + SCHEDULE, "two schedules"),
        ('[broker]\nurl = "amqp://x"\n', "broker.url"),
        ('[broker]\nurl = "rediss://x"\n', "broker.ca_file"),
        ('[broker]\nurl = "redis://broker.example/0"\n', "another machine"),
        ('[monitor]\nflower_address = "0.0.0.0"\n', "monitor.flower_address"),
        ('[monitor]\nflower_cert_file = "/c.pem"\n', "monitor.flower_key_file"),
        ('[monitor]\nflower_client_ca_file = "/c.pem"\n', "monitor.flower_cert_file"),
        ('[monitor]\nflower_password = "x"\nflower_password_file = "/p"\n', "monitor.flower_password_file"),
        (SCHEDULE + 'host = "Web 1"\n', "schedules[0].host"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        loaded(tmp_path, text)
    assert named in refusal.value.message
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("name", "value"), [("STRONGROOM_WORKERS_BAKCUP", "1"), ("STRONGROOM_CACHE_MAX_AGE_S", "9999")]
)
def test_a_bad_variable_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load(Home(tmp_path), {name: value})


def test_a_passphrase_in_the_environment_is_no_setting(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert load(home, {"STRONGROOM_KMS_PASSPHRASE": "secret"}) == load(home, {})


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger"):
        loaded(tmp_path, "#" * (MAX_SETTINGS_BYTES + 1))
