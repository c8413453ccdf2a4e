"""Running one role by itself: what it is given."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.home import Home
from workers.run import make_context

LOCAL = (
    '[broker]\nurl = "redis://127.0.0.1:6379/0"\npassword_file = "{home}/password"\n[workers]\nbackup = 3\n'
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "config.toml").write_text(LOCAL.format(home=tmp_path))
    return Home(tmp_path)


def test_a_role_is_its_own_user_with_its_own_password(home: Home) -> None:
    context = make_context(home, "restore")
    assert context.broker_url == "redis://restore:secret@127.0.0.1:6379/0"
    assert (context.role, context.host, context.one_shot) == ("restore", "", False)


def test_a_worker_of_a_host_is_a_user_of_its_own(home: Home) -> None:
    context = make_context(home, "backup", "backup.web1", 7)
    assert context.broker_url.startswith("redis://backup.web1:")
    assert (context.host, context.settings.workers.backup) == ("web1", 7)
    assert make_context(home, "backup", "backup").settings.workers.backup == 3


@pytest.mark.parametrize(
    ("role", "queue", "concurrency"),
    [
        ("backup", "restore", 0),
        ("backup", "backup.", 0),
        ("backup", "backup.*", 0),
        ("backup", "keys.web1", 0),
        ("restore", "restore.web1", 0),
        ("beat", "scheduler", 0),
        ("beat", "", 2),
        ("scheduler", "", 2),
        ("backup", "", 1000),
        ("backup", "", -1),
    ],
)
def test_what_a_role_does_not_do_is_refused(home: Home, role: str, queue: str, concurrency: int) -> None:
    with pytest.raises(ConfigError) as refusal:
        make_context(home, role, queue, concurrency)
    assert refusal.value.remedy


def test_without_a_broker_there_is_nobody_to_work_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no broker"):
        make_context(Home(tmp_path), "backup")
