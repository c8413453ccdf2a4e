"""What dies is started again, what cannot start is named, and nothing outlives the supervisor."""

import resource
from pathlib import Path

import pytest
import redis

from config import queues
from config.errors import ConfigError
from config.settings import Settings
from tests.workers.stack_control import (
    children_of,
    connect,
    family_of,
    is_alive,
    kill,
    one_shot,
    socket_of,
    until,
)
from workers.app import make_app
from workers.task import send

ROLES = {*queues.QUEUE_OF_ROLE, queues.BEAT}


def test_killing_the_supervisor_ends_everything_and_the_next_start_cleans_up(tmp_path: Path) -> None:
    with one_shot(tmp_path) as (info, process, _):
        family = family_of(process.pid)
        kill(process.pid)
        until(lambda: not any(is_alive(pid) for pid in family))
        folder = socket_of(info.broker_url).parent
        assert folder.exists()
    with one_shot(tmp_path):
        assert not folder.exists()


def test_it_takes_a_high_descriptor_from_a_command_that_has_many_files_open(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    try:
        with one_shot(tmp_path, descriptor=1500) as (_, process, _):
            assert set(children_of(process.pid)) >= ROLES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("role", [queues.SCHEDULER, queues.KEY_BROKER, queues.BACKUP, queues.BEAT])
def test_a_killed_role_is_back_with_its_whole_family(tmp_path: Path, role: str) -> None:
    with one_shot(tmp_path) as (_, process, _):
        first = children_of(process.pid)[role]
        family = family_of(first)
        kill(first)
        until(lambda: children_of(process.pid).get(role, first) != first)
        until(lambda: not any(is_alive(pid) for pid in family))
        if role != queues.BEAT:
            queue = queues.QUEUE_OF_ROLE[role]
            app = make_app(role, Settings(), (tmp_path / "marks" / f"{role}-url").read_text())
            send(app, f"{queue}.mark", "again")
            until((tmp_path / "marks" / "again").exists)
            app.close()


def test_a_task_survives_the_death_of_its_worker(tmp_path: Path) -> None:
    with one_shot(tmp_path) as (_, process, _):
        app = make_app(queues.BACKUP, Settings(), (tmp_path / "marks" / "backup-url").read_text())
        send(app, "backup.hold", "work", 5)
        until((tmp_path / "marks" / "work-begun").exists)
        pool = next(pid for pid in family_of(children_of(process.pid)["backup"]) if busy_with(tmp_path, pid))
        (tmp_path / "marks" / "work-begun").unlink()
        kill(pool)
        until((tmp_path / "marks" / "work-done").exists)
        app.close()


def busy_with(home: Path, pid: int) -> bool:
    return (home / "marks" / f"busy-{pid}").exists()


def test_a_killed_server_is_back_and_every_role_serves_again(tmp_path: Path) -> None:
    with one_shot(tmp_path) as (info, process, _):
        before = children_of(process.pid)
        kill(before["valkey"])
        until(lambda: children_of(process.pid).get("valkey", before["valkey"]) != before["valkey"])
        for role, queue in queues.QUEUE_OF_ROLE.items():
            url = (tmp_path / "marks" / f"{role}-url").read_text()
            until(lambda: answers(url), 5)  # noqa: B023 - awaited in the same turn
            app = make_app(role, Settings(), url)
            send(app, f"{queue}.mark", f"after-{role}")
            app.close()
        for role in queues.QUEUE_OF_ROLE:
            until((tmp_path / "marks" / f"after-{role}").exists)
        after = children_of(process.pid)
        assert connect(info.broker_url).llen("backup") == 0
        assert {role: after[role] for role in ROLES} == {role: before[role] for role in ROLES}


def answers(url: str) -> bool:
    try:
        return bool(connect(url).ping())
    except redis.exceptions.ConnectionError:
        return False


def test_a_role_that_cannot_start_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="backup role does not start") as failure,
        one_shot(tmp_path, "--role", "backup=tests.workers.no_such_role"),
    ):
        pass
    assert "backup.log" in failure.value.remedy
    assert "no_such_role" in (tmp_path / "logs" / "backup.log").read_text()
