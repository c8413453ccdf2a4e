"""What each broker user may and may not do, tried on the real server."""

import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from config import acl, queues
from tests.config.acl_server import HOSTS, REDIS_SERVER, RedisServer, Server, ValkeyServer
from tests.workers.stack_control import until
from workers.stack.passwords import Passwords

JOB = "00" * 16
USERS = acl.users(HOSTS)
QUEUES = (*queues.QUEUES, "backup.web1", "backup.web2", "backup.web3")
STATIONS = (*queues.QUEUE_OF_ROLE, "backup.web1", "backup.web2")
DEPLOY = Path(__file__).parents[2] / "deploy" / "acl"


@pytest.fixture(scope="module", params=["valkey", *(["redis"] if REDIS_SERVER else [])])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="acl-") as folder:
        kind = RedisServer if request.param == "redis" else ValkeyServer
        running: Server = kind(Path(folder))
        yield running
        running.stop()


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
    queues.SCHEDULER: {"scheduler", "backup", "restore", "maintenance", "keys", *QUEUES[-3:]},
    queues.KEY_BROKER: {"keys"},
    queues.BACKUP: {"keys", "scheduler", "backup"},
    "backup.web1": {"keys", "scheduler", "backup.web1"},
    "backup.web2": {"keys", "scheduler", "backup.web2"},
    queues.RESTORE: {"keys", "scheduler", "restore"},
    queues.MAINTENANCE: {"keys", "scheduler", "maintenance"},
    queues.BEAT: {"scheduler"},
    queues.CLIENT: {"scheduler"},
    queues.MONITOR: set(),
    queues.HEALTH: set(),
}


@pytest.mark.parametrize("user", USERS)
def test_a_user_writes_to_exactly_its_queues(server: Server, user: str) -> None:
    assert {queue for queue in QUEUES if allowed(server, user, "LPUSH", queue, "x")} == WAKES[user]


@pytest.mark.parametrize("user", USERS)
def test_a_user_takes_from_its_own_queue_only(server: Server, user: str) -> None:
    own = {queues.QUEUE_OF_ROLE.get(user, user)} if user in STATIONS else set()
    assert {queue for queue in QUEUES if allowed(server, user, "BRPOP", queue, "0.01")} == own
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
        for queue in QUEUES:
            more = {"LINDEX": ["0"], "LRANGE": ["0", "-1"], "LMPOP": ["LEFT"]}.get(verb, [])
            assert not allowed(server, user, verb, *rest, queue, *more), (command, queue)


@pytest.mark.parametrize("user", USERS)
def test_a_user_reads_what_others_have_received_never(server: Server, user: str) -> None:
    for station in STATIONS:
        if station != user:
            assert not allowed(server, user, "HGET", f"unacked.{station}", "tag")
            assert not allowed(server, user, "HSET", f"unacked.{station}", "tag", "x")
            assert not allowed(server, user, "ZRANGE", f"unacked_index.{station}", "0", "1")
    assert not allowed(server, user, "HGETALL", f"unacked.{user}")


REPLIES = {
    "reply:backup:00": {queues.KEY_BROKER},
    "reply:backup.web1:00": {queues.KEY_BROKER},
    "reply:restore:00": {queues.KEY_BROKER},
    "reply:client:00": {queues.KEY_BROKER, queues.SCHEDULER},
    f"notes:{JOB}": {queues.SCHEDULER, queues.BACKUP, queues.RESTORE, queues.MAINTENANCE, *STATIONS[-2:]},
}
READERS = {
    "reply:backup:00": {queues.BACKUP},
    "reply:backup.web1:00": {"backup.web1"},
    "reply:restore:00": {queues.RESTORE},
    "reply:maintenance:00": {queues.MAINTENANCE},
    "reply:client:00": {queues.CLIENT},
    f"notes:{JOB}": {queues.CLIENT},
}


@pytest.mark.parametrize("name", REPLIES)
def test_answers_are_written_only_by_who_gives_them(server: Server, name: str) -> None:
    assert {user for user in USERS if allowed(server, user, "RPUSH", name, "x")} == REPLIES[name]
    assert {user for user in USERS if allowed(server, user, "PEXPIRE", name, "9999")} == REPLIES[name]
    server.admin.flushall()


@pytest.mark.parametrize("name", READERS)
def test_answers_are_read_only_by_who_waits_for_them(server: Server, name: str) -> None:
    assert {user for user in USERS if allowed(server, user, "BLPOP", name, "0.01")} == READERS[name]
    takers = READERS[name] & {queues.CLIENT}
    assert {user for user in USERS if allowed(server, user, "LPOP", name)} == takers
    assert not any(allowed(server, user, "LRANGE", name, "0", "-1") for user in USERS)


def test_what_was_taken_is_said_by_the_client_and_read_by_restore_workers(server: Server) -> None:
    name = f"taken:{JOB}"
    for command in (("HSET", name, "here", "1"), ("HDEL", name, "0"), ("PEXPIRE", name, "9999")):
        assert {user for user in USERS if allowed(server, user, *command)} == {queues.CLIENT}
    assert {user for user in USERS if allowed(server, user, "HMGET", name, "here")} == {queues.RESTORE}
    assert not any(allowed(server, user, "HGETALL", name) for user in USERS)
    server.admin.flushall()


def test_the_end_of_a_job_is_said_by_the_scheduler_and_read_by_who_works_on_jobs(server: Server) -> None:
    name = f"over:{JOB}"
    assert {user for user in USERS if allowed(server, user, "SET", name, "x")} == {queues.SCHEDULER}
    workers = {queues.BACKUP, queues.RESTORE, queues.MAINTENANCE}
    assert {user for user in USERS if allowed(server, user, "GET", name)} == {
        user for user in USERS if user.partition(".")[0] in workers
    }
    server.admin.flushall()


def test_a_status_is_written_by_its_role_and_read_by_the_client(server: Server) -> None:
    for station in STATIONS:
        writers = {user for user in USERS if allowed(server, user, "SET", f"status:{station}", "x")}
        assert writers == {station}
        readers = {user for user in USERS if allowed(server, user, "GET", f"status:{station}")}
        assert readers == {queues.CLIENT}


def test_a_sign_of_life_is_given_by_its_role_and_its_age_is_seen_by_the_client(server: Server) -> None:
    for station in (*STATIONS, queues.BEAT):
        name = f"alive:{station}"
        assert {user for user in USERS if allowed(server, user, "SET", name, "", "EX", "9")} == {station}
        assert {user for user in USERS if allowed(server, user, "PTTL", name)} == {queues.CLIENT}
        assert not any(allowed(server, user, "GET", name) for user in USERS)


def test_lengths_are_known_to_who_shows_them(server: Server) -> None:
    for queue in QUEUES:
        readers = {user for user in USERS if allowed(server, user, "LLEN", queue)}
        assert readers == {
            queues.CLIENT,
            queues.MONITOR,
            *(own for own in STATIONS if queue == _queue_of(own)),
        }


def _queue_of(station: str) -> str:
    return queues.QUEUE_OF_ROLE.get(station, station)


@pytest.mark.parametrize("user", USERS)
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
        "EVAL_RO return(1) 0",
        "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0",
        "EVALSHA_RO e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0",
        "SCRIPT LOAD return(1)",
        "SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db",
        "SCRIPT KILL",
        "FUNCTION LIST",
        "FUNCTION LOAD x",
        "FCALL x 0",
        "CLIENT PAUSE 1",
        "CLIENT NO-EVICT on",
        "INFO",
        "PUBLISH /0.celery.pidbox x",
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


KNOWN_COMMANDS = """
    ping hello auth client|setname client|setinfo multi exec discard unwatch watch brpop blpop lpop lpush rpush llen
    hset hget hmget hdel zadd zrem zcount zpopmin set get expire pexpire pttl publish psubscribe punsubscribe
"""
"""Their work is that of their own arguments, or of what they remove: a million elements are not looked at for 50 bytes.

Before one is added here: can it hold up everybody on a long list, set or hash that its user has made?
"""


def test_nobody_has_a_command_that_could_stop_the_server() -> None:
    words = acl.acl_rules(HOSTS).replace("(", " ").replace(")", " ").split()
    assert {word[1:] for word in words if word.startswith("+")} == set(KNOWN_COMMANDS.split())


@pytest.mark.parametrize("user", STATIONS)
def test_a_role_looks_at_no_range_of_its_own(server: Server, user: str) -> None:
    index, own, queue = f"unacked_index.{user}", f"unacked.{user}", _queue_of(user)
    assert allowed(server, user, "ZCOUNT", index, "-inf", "0")
    assert allowed(server, user, "ZPOPMIN", index)
    for command in (
        f"ZRANGE {index} 0 -1",
        f"ZRANGE {index} -inf +inf BYSCORE LIMIT 1000000 1",
        f"ZRANGEBYSCORE {index} -inf +inf",
        f"ZRANDMEMBER {index} -1000000",
        f"ZUNIONSTORE {index} 1 {index}",
        f"HGETALL {own}",
        f"HSCAN {own} 0",
        f"DEL {own}",
        f"SORT {queue}",
        f"LINSERT {queue} BEFORE x y",
        f"LREM {queue} 0 x",
        f"LINDEX {queue} 100000",
        f"LPOS {queue} x",
    ):
        assert not allowed(server, user, *command.split()), command


def test_a_server_that_is_held_up_is_not_healthy(server: Server) -> None:
    """The refusal of who has no password tells nothing: it comes from a server that answers nobody else, too."""
    health = server.connect(queues.HEALTH)
    assert health.ping()
    holding = threading.Thread(target=_hold_up, args=(server,))
    server.admin.config_set("busy-reply-threshold", "50")
    holding.start()
    try:
        until(lambda: _is_busy(health))
        with pytest.raises(redis.exceptions.AuthenticationError):
            server.nobody().ping()
    finally:
        server.login("admin", "x").execute_command("SCRIPT", "KILL")
        holding.join()
        server.admin.config_set("busy-reply-threshold", "5000")
    assert health.ping()


@pytest.mark.skipif(not REDIS_SERVER, reason="needs an installed Redis: make test-redis")
def test_the_health_check_of_docker_compose_tells_a_server_that_is_held_up(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    (tmp_path / "health.password").write_bytes(bytes(server.passwords[queues.HEALTH]) + b"\n")
    for end in ("crt", "key"):
        (tmp_path / f"health.{end}").write_bytes((tmp_path / f"client.{end}").read_bytes())
    compose = (DEPLOY.parents[1] / "docker-compose.yml").read_text()
    (text,) = (line.strip("- ") for line in compose.splitlines() if "valkey-cli" in line)
    line = (
        json.loads(text)
        .replace("$$", "$")
        .replace("/run/secrets", str(tmp_path))
        .replace("valkey-cli", f"redis-cli -p {server.port}")
    )

    def is_healthy() -> bool:
        return subprocess.run(["sh", "-c", line], capture_output=True, check=False).returncode == 0

    try:
        assert is_healthy()
        server.admin.config_set("busy-reply-threshold", "50")
        holding = threading.Thread(target=_hold_up, args=(server,))
        holding.start()
        until(lambda: not is_healthy())
        server.login("admin", "x").execute_command("SCRIPT", "KILL")
        holding.join()
        assert is_healthy()
    finally:
        server.stop()


def _is_busy(user: Any) -> bool:
    try:
        return not user.ping()
    except redis.exceptions.ResponseError as error:
        return str(error).startswith("BUSY")


def _hold_up(server: Server) -> None:
    with contextlib.suppress(redis.exceptions.ResponseError):
        server.login("admin", "x").eval("while true do end", 0)


def test_events_are_heard_by_the_monitor_only(server: Server) -> None:
    assert {user for user in USERS if allowed(server, user, "PSUBSCRIBE", "/0.celeryev/*")} == {
        queues.MONITOR
    }
    speakers = {user for user in USERS if allowed(server, user, "PUBLISH", "/0.celeryev/task.multi", "x")}
    assert speakers == set(STATIONS)


def test_nobody_without_a_password(server: Server) -> None:
    with pytest.raises(redis.exceptions.AuthenticationError):
        server.nobody().ping()
    with pytest.raises(redis.exceptions.AuthenticationError):
        server.login(queues.BACKUP, server.passwords[queues.KEY_BROKER].decode()).ping()


def test_the_file_holds_no_password() -> None:
    passwords = Passwords(USERS)
    text = acl.acl_file(passwords).encode()
    assert not [user for user, password in passwords.items() if bytes(password) in text]


def test_a_user_that_is_not_wanted_does_not_exist() -> None:
    assert "user monitor" not in acl.acl_file({queues.CLIENT: b"x"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("users.acl", acl.acl_rules(("web1",))),
        ("users-redis-7.0.acl", acl.for_redis_7_0(acl.acl_rules(("web1",)))),
    ],
)
def test_the_files_in_deploy_are_what_is_generated(name: str, text: str) -> None:
    assert (DEPLOY / name).read_text() == text, "run `make deploy-files`"


def test_the_files_in_deploy_let_nobody_in() -> None:
    users = [line.split() for line in (DEPLOY / "users.acl").read_text().splitlines()]
    assert all(words[0] == "user" and "off" in words and "nopass" not in words for words in users)
    assert not [word for words in users for word in words if word.startswith(("#", ">"))]
