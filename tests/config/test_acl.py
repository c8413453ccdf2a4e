"""What each broker user may and may not do, tried on the real server."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import acl, queues
from workers.stack.passwords import Passwords
from workers.stack.valkey import Valkey

JOB = "00" * 16
ADMIN = "user admin reset on nopass ~* &* +@all\n"


class Server:
    """A real server with one user per role and an administrator, whom the product does not have."""

    def __init__(self, folder: Path) -> None:
        self.passwords = Passwords(acl.USERS)
        valkey = Valkey(folder, folder / "valkey.log")
        valkey.configure(self.passwords, extra_acl=ADMIN)
        self.socket = str(valkey.socket)
        self.pid = valkey.start()
        valkey.wait(self.pid)
        self._connections: dict[str, Any] = {}
        self.admin = self._connect("admin", "")

    def connect(self, user: str) -> Any:
        if user not in self._connections:
            self._connections[user] = self._connect(user, self.passwords[user].decode())
        return self._connections[user]

    def _connect(self, user: str, password: str) -> Any:
        url = f"unix://{user}:{password}@{self.socket}?protocol=2"
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="acl-") as folder:
        running = Server(Path(folder))
        yield running
        os.kill(running.pid, signal.SIGKILL)
        os.waitpid(running.pid, 0)


def allowed(server: Server, user: str, *command: str) -> bool:
    try:
        server.connect(user).execute_command(*command)
    except redis.exceptions.NoPermissionError:
        return False
    except redis.exceptions.ResponseError as error:
        # Refused for its arguments: the user may do it.
        assert "NOPERM" not in str(error)  # noqa: PT017 - the answer is the subject
    return True


WAKES = {
    queues.SCHEDULER: {"scheduler", "backup", "restore", "maintenance", "keys"},
    queues.KEY_BROKER: {"keys"},
    queues.BACKUP: {"keys", "scheduler", "backup"},
    queues.RESTORE: {"keys", "scheduler", "restore"},
    queues.MAINTENANCE: {"keys", "scheduler", "maintenance"},
    queues.BEAT: {"scheduler"},
    queues.CLIENT: {"scheduler"},
    queues.MONITOR: set(),
}


@pytest.mark.parametrize("user", acl.USERS)
def test_a_user_writes_to_exactly_its_queues(server: Server, user: str) -> None:
    assert {queue for queue in queues.QUEUES if allowed(server, user, "LPUSH", queue, "x")} == WAKES[user]


@pytest.mark.parametrize("user", acl.USERS)
def test_a_user_takes_from_its_own_queue_only(server: Server, user: str) -> None:
    own = {queues.QUEUE_OF_ROLE[user]} if user in queues.QUEUE_OF_ROLE else set()
    assert {queue for queue in queues.QUEUES if allowed(server, user, "BRPOP", queue, "0.01")} == own
    for command in (
        "RPOP",
        "LPOP",
        "LMPOP 1",
        "LINDEX",
        "LRANGE",
        "DEL",
        "DUMP",
        "GETDEL",
        "SORT",
        "OBJECT ENCODING",
    ):
        verb, *rest = command.split()
        for queue in queues.QUEUES:
            more = {"LINDEX": ["0"], "LRANGE": ["0", "-1"], "LMPOP": ["LEFT"]}.get(verb, [])
            assert not allowed(server, user, verb, *rest, queue, *more), (command, queue)


@pytest.mark.parametrize("user", acl.USERS)
def test_a_user_reads_what_others_have_received_never(server: Server, user: str) -> None:
    for role in queues.QUEUE_OF_ROLE:
        if role != user:
            assert not allowed(server, user, "HGET", f"unacked.{role}", "tag")
            assert not allowed(server, user, "HSET", f"unacked.{role}", "tag", "x")
            assert not allowed(server, user, "ZRANGE", f"unacked_index.{role}", "0", "1")
    assert not allowed(server, user, "HGETALL", f"unacked.{user}")


REPLIES = {
    "reply:backup:00": {queues.KEY_BROKER},
    "reply:restore:00": {queues.KEY_BROKER},
    "reply:client:00": {queues.KEY_BROKER, queues.SCHEDULER},
    f"notes:{JOB}": {queues.SCHEDULER, queues.BACKUP, queues.RESTORE, queues.MAINTENANCE},
}
READERS = {
    "reply:backup:00": {queues.BACKUP},
    "reply:restore:00": {queues.RESTORE},
    "reply:maintenance:00": {queues.MAINTENANCE},
    "reply:client:00": {queues.CLIENT},
    f"notes:{JOB}": {queues.CLIENT},
}


@pytest.mark.parametrize("name", REPLIES)
def test_answers_are_written_only_by_who_gives_them(server: Server, name: str) -> None:
    assert {user for user in acl.USERS if allowed(server, user, "RPUSH", name, "x")} == REPLIES[name]
    assert {user for user in acl.USERS if allowed(server, user, "PEXPIRE", name, "9999")} == REPLIES[name]
    server.admin.flushall()


@pytest.mark.parametrize("name", READERS)
def test_answers_are_read_only_by_who_waits_for_them(server: Server, name: str) -> None:
    assert {user for user in acl.USERS if allowed(server, user, "BLPOP", name, "0.01")} == READERS[name]
    assert not any(allowed(server, user, "LRANGE", name, "0", "-1") for user in acl.USERS)


def test_a_status_is_written_by_its_role_and_read_by_the_client(server: Server) -> None:
    for role in queues.QUEUE_OF_ROLE:
        writers = {user for user in acl.USERS if allowed(server, user, "SET", f"status:{role}", "x")}
        assert writers == {role}
        assert {user for user in acl.USERS if allowed(server, user, "GET", f"status:{role}")} == {
            queues.CLIENT
        }


@pytest.mark.parametrize("user", acl.USERS)
@pytest.mark.parametrize(
    "command",
    [
        "KEYS *",
        "SCAN 0",
        "RANDOMKEY",
        "MONITOR",
        "CONFIG GET *",
        "CONFIG SET dir /",
        "ACL LIST",
        "ACL SETUSER x on nopass +@all",
        "ACL WHOAMI",
        "CLIENT LIST",
        "CLIENT KILL TYPE normal",
        "EVAL return(1) 0",
        "FUNCTION LIST",
        "SHUTDOWN NOSAVE",
        "FLUSHALL",
        "SAVE",
        "REPLICAOF localhost 1",
        "MODULE LIST",
        "SUBSCRIBE /0.celery.pidbox",
        "SADD _kombu.binding.keys x",
        "SELECT 1",
        "SWAPDB 0 1",
        "MOVE scheduler 1",
        "RENAME scheduler keys",
        "COPY scheduler keys",
        "SET anything x",
        "GET anything",
    ],
)
def test_no_user_rules_the_server(server: Server, user: str, command: str) -> None:
    assert not allowed(server, user, *command.split())


def test_events_are_heard_by_the_monitor_only(server: Server) -> None:
    assert {user for user in acl.USERS if allowed(server, user, "PSUBSCRIBE", "/0.celeryev/*")} == {
        queues.MONITOR
    }
    speakers = {user for user in acl.USERS if allowed(server, user, "PUBLISH", "/0.celeryev/task.multi", "x")}
    assert speakers == set(acl.WORKER_ROLES)


def test_nobody_without_a_password(server: Server) -> None:
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis.from_url(f"unix://{server.socket}", retry=Retry(NoBackoff(), 0)).ping()
    with pytest.raises(redis.exceptions.AuthenticationError):
        server._connect(queues.BACKUP, server.passwords[queues.KEY_BROKER].decode()).ping()


def test_the_file_holds_no_password() -> None:
    passwords = Passwords(acl.USERS)
    text = acl.acl_file(passwords).encode()
    assert not [user for user, password in passwords.items() if bytes(password) in text]


def test_a_user_that_is_not_wanted_does_not_exist() -> None:
    assert "user monitor" not in acl.acl_file({queues.CLIENT: b"x"})
