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

RETENTION = """
[[retention]]
name = "weekly"
vault = "main"
cron = "0 5 * * 0"
timezone = "Europe/Berlin"
hosts = ["web1"]
tags = ["nightly", "a,b"]
paths = ["/srv"]
keep_daily = 7
keep_monthly = "unlimited"
keep_within = "1y6m"
keep_tags = ["for ever"]
prune = true
max_unused = 10
"""
KEEPS = ("keep_daily", "keep_monthly", "keep_within", "keep_tags")
KEEPS_NOTHING = "".join(f"{line}\n" for line in RETENTION.splitlines() if not line.startswith(KEEPS))


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


def test_retention_is_read_as_it_is_written(tmp_path: Path) -> None:
    (policy,) = loaded(tmp_path, RETENTION).retention
    assert (policy.keep_daily, policy.keep_monthly, policy.keep_last) == (7, "unlimited", 0)
    assert (policy.prune, policy.max_unused, policy.catch_up) == (True, 10.0, True)
    assert loaded(tmp_path, KEEPS_NOTHING + "keep_last = 1\n").retention[0].keep_last == 1


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
        (SCHEDULE.replace("/srv", "srv"), "schedules.nightly.paths[0]"),
        (SCHEDULE.replace("/srv", "s3:///srv"), "schedules.nightly.paths[0]"),
        (SCHEDULE + SCHEDULE, "two entries"),
        ('[broker]\nurl = "amqp://x"\n', "broker.url"),
        ('[broker]\nurl = "rediss://x"\n', "broker.ca_file"),
        ('[broker]\nurl = "redis://broker.example/0"\n', "another machine"),
        ('[monitor]\nflower_address = "0.0.0.0"\n', "monitor.flower_address"),
        ('[monitor]\nflower_cert_file = "/c.pem"\n', "monitor.flower_key_file"),
        ('[monitor]\nflower_client_ca_file = "/c.pem"\n', "monitor.flower_cert_file"),
        ('[monitor]\nflower_password = "x"\nflower_password_file = "/p"\n', "monitor.flower_password_file"),
        (SCHEDULE + 'host = "Web 1"\n', "schedules.nightly.host"),
        (SCHEDULE.replace("nightly", "weekly") + RETENTION, "two entries"),
        (RETENTION + RETENTION, "two entries"),
        (RETENTION.replace("0 5", "61 5"), "retention.weekly.cron"),
        (RETENTION.replace("Berlin", "Nowhere"), "retention.weekly.timezone"),
        (RETENTION + "keep_dayly = 3\n", "keep_dayly"),
        (RETENTION + "remove_all = true\n", "remove_all"),
        (RETENTION + "keep_last = -1\n", "retention.weekly.keep_last"),
        (RETENTION + "keep_last = true\n", "retention.weekly.keep_last"),
        (RETENTION + "keep_last = 1000001\n", "retention.weekly.keep_last"),
        (RETENTION + 'keep_last = "all"\n', "retention.weekly.keep_last"),
        (RETENTION.replace("1y6m", "6 months"), "retention.weekly.keep_within"),
        (RETENTION.replace("1y6m", "0d"), "retention.weekly.keep_within"),
        (RETENTION.replace("for ever", "x,"), "retention.weekly.keep_tags"),
        (RETENTION.replace("a,b", "a,,b"), "retention.weekly.tags"),
        (RETENTION.replace('"for ever"', '""'), "retention.weekly.keep_tags"),
        (RETENTION.replace("/srv", "s3://B"), "retention.weekly.paths"),
        (RETENTION.replace("/srv", "s3://bucket/a//b"), "retention.weekly.paths"),
        (RETENTION.replace("= 10", "= 101"), "retention.weekly.max_unused"),
        (KEEPS_NOTHING, "keeps nothing"),
        (KEEPS_NOTHING + "keep_daily = 0\nkeep_tags = []\n", "keeps nothing"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        loaded(tmp_path, text)
    assert named in refusal.value.message
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("text", "says", "remedy"),
    [
        (
            SCHEDULE.replace("/srv", "~/docs"),
            "'~/docs' is not what",
            "paths are absolute, and ~ is not expanded",
        ),
        (RETENTION.replace("/srv", "srv"), "'srv' is not what", "paths are absolute, and ~ is not expanded"),
        (RETENTION + 'keep_last = "all"\n', "'all' is no count", 'a number, or "unlimited"'),
        (RETENTION.replace("= 10", '= "5%"'), "retention.weekly.max_unused", "such as 5.0"),
        ('[retention]\nname = "x"\n', "retention is not a list", "write [[retention]]"),
        ('[schedules]\nname = "x"\n', "schedules is not a list", "write [[schedules]]"),
        (RETENTION + "keep_dayly = 3\n", "retention.weekly.keep_dayly", "is it keep_daily?"),
        ("[workers]\nbakcup = 3\n", "workers.bakcup", "is it backup?"),
        ("[[schedule]]\n", "unknown key schedule", "is it schedules?"),
        ("[workers]\nqqq = 3\n", "workers.qqq", "correct or remove"),
        (SCHEDULE.replace('"nightly"', "3"), "schedules[0].name", "64 letters"),
        (SCHEDULE.replace("30 2", "0 25"), "nightly.cron", "hours are 0 to 23"),
        (SCHEDULE.replace("30 2", "60 2"), "nightly.cron", "minutes are 0 to 59"),
        (SCHEDULE.replace("30 2", "2"), "nightly.cron", "give five cron fields"),
        (SCHEDULE.replace("30 2 * *", "30 2 31 2"), "nightly.cron", "a day that comes"),
        (SCHEDULE.replace('"/srv"', '"/srv", "s3://bucket/x"'), "files and objects", "each on its own"),
        (RETENTION.replace("prune = true", ""), "weekly.max_unused", "add prune = true"),
    ],
)
def test_the_remedy_says_how_to_write_it(tmp_path: Path, text: str, says: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        loaded(tmp_path, text)
    assert says in refusal.value.message
    assert remedy in refusal.value.remedy
    assert "regex" not in str(refusal.value)


def test_no_value_of_a_password_is_in_what_is_said(tmp_path: Path) -> None:
    for text in ('[monitor]\nflower_password = ["hunter2"]\n', '[broker]\nurl = ["hunter2"]\n'):
        with pytest.raises(ConfigError) as refusal:
            loaded(tmp_path, text)
        assert "hunter2" not in str(refusal.value)


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
