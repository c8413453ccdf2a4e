"""What each role may do on the broker: one user per role, and per host that reads its own files, as an ACL file.

A role may do exactly what is listed for it; `tests/config/test_acl.py` tries the rest on the real server. Valkey, or
Redis 7.0 and newer (selectors, `%R~`).
"""

import hashlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from config import queues
from config.celery_settings import unacked_keys

WORKER_ROLES = tuple(queues.QUEUE_OF_ROLE)
USERS = (*WORKER_ROLES, queues.BEAT, queues.CLIENT, queues.MONITOR, queues.HEALTH)

SETINFO: Final = "+client|setinfo"
"""What Redis 7.0 does not know yet, and therefore refuses in an ACL file; it has to be left out there."""

_EVENTS = "&/0.celeryev/*"
# What every connection of redis-py and kombu says, none of which touches a key.
_HANDSHAKE = f"+ping +hello +auth +client|setname {SETINFO} +multi +exec +discard +unwatch"

# The server serves one command at a time, so nobody may have one whose work grows otherwise than with its length: no
# scripts, no ranges. `workers.broker` does without.
_UNACKED_COMMANDS = "+hset +hget +hdel +zadd +zrem +zcount +zpopmin +watch"

# Queues that a role wakes besides its own. Every worker may consume, and put back into, only its own.
_WAKES: Mapping[str, tuple[str, ...]] = {
    queues.SCHEDULER: (
        queues.BACKUP_QUEUE,
        queues.HOST_QUEUES,
        queues.RESTORE_QUEUE,
        queues.MAINTENANCE_QUEUE,
        queues.KEYS_QUEUE,
    ),
    queues.KEY_BROKER: (),
    queues.BACKUP: (queues.KEYS_QUEUE, queues.SCHEDULER_QUEUE),
    queues.RESTORE: (queues.KEYS_QUEUE, queues.SCHEDULER_QUEUE),
    queues.MAINTENANCE: (queues.KEYS_QUEUE, queues.SCHEDULER_QUEUE),
    queues.BEAT: (queues.SCHEDULER_QUEUE,),
    queues.CLIENT: (queues.SCHEDULER_QUEUE,),
}
# Lists that a role appends to, as key patterns.
_ANSWERS: Mapping[str, tuple[str, ...]] = {
    queues.SCHEDULER: ("reply:client:*", "notes:*"),
    queues.KEY_BROKER: ("reply:*",),
    queues.BACKUP: ("notes:*",),
    queues.RESTORE: ("notes:*",),
    queues.MAINTENANCE: ("notes:*",),
}
# Roles whose tasks are steps of jobs: they wait for keys, and may see that a job is over.
_OF_JOBS: Final = (queues.BACKUP, queues.RESTORE, queues.MAINTENANCE)
# Queues whose length the client and the monitor may know.
_LENGTHS = (*queues.QUEUES, queues.HOST_QUEUES)


def users(hosts: Iterable[str] = ()) -> tuple[str, ...]:
    """Every user of an installation in which `hosts` have workers of their own."""
    stations = (queues.station(role, host) for host in hosts for role in sorted(queues.HOSTED_ROLES))
    return (*USERS, *stations)


def acl_file(passwords: Mapping[str, bytes | bytearray]) -> str:
    """The text of an ACL file with the users of `passwords` and nobody else; it holds digests, no password.

    Args:
        passwords: by user, some of `users`; a user that is missing does not exist on the server.
    """
    lines = ["user default reset off"]
    for user in _in_order(passwords):
        digest = hashlib.sha256(passwords[user]).hexdigest()
        lines.append(f"user {user} reset on #{digest} {rules_of(user)}")
    return "\n".join(lines) + "\n"


def acl_rules(hosts: Iterable[str] = ()) -> str:
    """The same without passwords, every user switched off: what `deploy/acl/` shows and `strongroom acl` fills in."""
    lines = ["user default reset off"]
    lines += [f"user {user} reset off {rules_of(user)}" for user in users(hosts)]
    return "\n".join(lines) + "\n"


def for_redis_7_0(text: str) -> str:
    """An ACL file as Redis 7.0 takes it."""
    return text.replace(f"{SETINFO} ", "")


def rules_of(user: str) -> str:
    """What one user may do."""
    if user == queues.HEALTH:
        return "-@all +ping"
    return f"-@all {_HANDSHAKE} {_monitor_rules() if user == queues.MONITOR else _rules(user)}"


def _in_order(passwords: Mapping[str, object]) -> list[str]:
    known = [user for user in USERS if user in passwords]
    return known + sorted(user for user in passwords if user not in USERS)


def _rules(user: str) -> str:
    role, _, host = user.partition(".")
    rules: list[str] = []
    if role in WORKER_ROLES:
        keys = " ".join(f"~{key}" for key in unacked_keys(user).values())
        rules += [
            f"(~{queues.work_queue(role, host)} +brpop +lpush +rpush +llen)",
            f"({keys} {_UNACKED_COMMANDS})",
            f"(%W~{queues.status_key(user)} +set)",
            f"({_EVENTS} +publish)",
        ]
    if role in WORKER_ROLES or role == queues.BEAT:
        rules.append(f"(%W~{queues.sign_key(user)} +set)")
    if wakes := _WAKES.get(role):
        rules.append(f"({_keys('%W~', wakes)} +lpush)")
    if answers := _ANSWERS.get(role):
        rules.append(f"({_keys('%W~', answers)} +rpush +expire +pexpire)")
    if waits := _waits(user):
        rules.append(f"({_keys('~', waits)} +blpop{' +lpop' if role == queues.CLIENT else ''})")
    if role == queues.SCHEDULER:
        rules.append(f"(%W~{queues.OVER_PREFIX}* +set)")
    if role in _OF_JOBS:
        rules.append(f"(%R~{queues.OVER_PREFIX}* +get)")
    if role == queues.RESTORE:
        rules.append(f"(%R~{queues.TAKEN_PREFIX}* +hmget)")
    if role == queues.CLIENT:
        rules += [
            f"(%W~{queues.TAKEN_PREFIX}* +hset +hdel +pexpire)",
            f"(%R~{queues.STATUS_PREFIX}* +get)",
            f"(%R~{queues.SIGN_PREFIX}* +pttl)",
            f"({_keys('%R~', _LENGTHS)} +llen)",
        ]
    return " ".join(rules)


def _waits(user: str) -> tuple[str, ...]:
    """The lists that a user waits on, as key patterns."""
    role = user.partition(".")[0]
    if role == queues.CLIENT:
        return (f"{queues.REPLY_PREFIX}{user}:*", f"{queues.NOTES_PREFIX}*")
    if role in _OF_JOBS:
        return (f"{queues.REPLY_PREFIX}{user}:*",)
    return ()


def _keys(prefix: str, patterns: tuple[str, ...]) -> str:
    return " ".join(prefix + pattern for pattern in patterns)


def _monitor_rules() -> str:
    return f"({_EVENTS} +psubscribe +punsubscribe) ({_keys('%R~', _LENGTHS)} +llen)"


def write_examples(folder: Path) -> None:
    """Write the files of `deploy/acl/`: every user of an installation with a host web1, switched off."""
    text = acl_rules(("web1",))
    (folder / "users.acl").write_text(text)
    (folder / "users-redis-7.0.acl").write_text(for_redis_7_0(text))


if __name__ == "__main__":
    write_examples(Path(sys.argv[1]))
