"""What each role may do on the broker: one Valkey user per role, written as an ACL file.

A role may do exactly what is listed for it; `tests/config/test_acl.py` tries the rest on the real server.
Valkey 7.2 or newer (selectors, `%R~`, `client|setinfo`).
"""

import hashlib
from collections.abc import Mapping

from config import queues
from config.celery_settings import unacked_keys

WORKER_ROLES = tuple(queues.QUEUE_OF_ROLE)
USERS = (*WORKER_ROLES, queues.BEAT, queues.CLIENT, queues.MONITOR)

_EVENTS = "&/0.celeryev/*"
# What every connection of redis-py and kombu says, none of which touches a key.
_HANDSHAKE = "+ping +hello +auth +client|setname +client|setinfo +multi +exec +discard +unwatch"

_LOCK = "+evalsha +script|load +script|exists"
_UNACKED_COMMANDS = f"+hset +hget +hdel +zadd +zrem +zrange +watch +set +get +del {_LOCK}"

# Queues that a role wakes besides its own. Every worker may consume, and put back into, only its own.
_WAKES: Mapping[str, tuple[str, ...]] = {
    queues.SCHEDULER: (
        queues.BACKUP_QUEUE,
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
# Lists that a role waits on.
_WAITS: Mapping[str, tuple[str, ...]] = {
    queues.BACKUP: ("reply:backup:*",),
    queues.RESTORE: ("reply:restore:*",),
    queues.MAINTENANCE: ("reply:maintenance:*",),
    queues.CLIENT: ("reply:client:*", "notes:*"),
}


def acl_file(passwords: Mapping[str, bytes | bytearray]) -> str:
    """The text of an ACL file with the users of `passwords` and nobody else; it holds digests, no password.

    Args:
        passwords: by user, one of `USERS`; a user that is missing does not exist on the server.
    """
    lines = ["user default reset off"]
    for user in USERS:
        if user in passwords:
            digest = hashlib.sha256(passwords[user]).hexdigest()
            lines.append(f"user {user} reset on #{digest} -@all {_HANDSHAKE} {_rules(user)}")
    return "\n".join(lines) + "\n"


def _rules(user: str) -> str:
    if user == queues.MONITOR:
        return _monitor_rules()
    rules: list[str] = []
    if user in WORKER_ROLES:
        own = queues.QUEUE_OF_ROLE[user]
        keys = " ".join(f"~{key}" for key in unacked_keys(user).values())
        rules += [
            f"(~{own} +brpop +lpush +rpush +llen)",
            f"({keys} {_UNACKED_COMMANDS})",
            f"(%W~{queues.status_key(user)} +set)",
            f"({_EVENTS} +publish)",
        ]
    if wakes := _WAKES.get(user):
        rules.append(f"({_keys('%W~', wakes)} +lpush)")
    if answers := _ANSWERS.get(user):
        rules.append(f"({_keys('%W~', answers)} +rpush +expire +pexpire)")
    if waits := _WAITS.get(user):
        rules.append(f"({_keys('~', waits)} +blpop)")
    if user == queues.CLIENT:
        rules += [
            f"(%R~{queues.STATUS_PREFIX}* +get)",
            f"({_keys('%R~', queues.QUEUES)} +llen)",
        ]
    return " ".join(rules)


def _keys(prefix: str, patterns: tuple[str, ...]) -> str:
    return " ".join(prefix + pattern for pattern in patterns)


def _monitor_rules() -> str:
    # Flower's event receiver publishes a wake-up to pidbox; no worker listens there (remote control is off).
    bindings = "~_kombu.binding.celery* ~_kombu.binding_permanent.celery* ~_kombu.binding_deadlines"
    declare = f"+sadd +srem +smembers +zadd +zrangebyscore +zrem +exists +del +time {_LOCK}"
    rules = (
        "+info",
        f"({bindings} {declare})",
        "(~celeryev.* +llen +del +pexpire +exists)",
        f"({_EVENTS} +psubscribe +punsubscribe)",
        "(&/0.celery.pidbox +publish)",
        f"({_keys('%R~', queues.QUEUES)} +llen)",
    )
    return " ".join(rules)
