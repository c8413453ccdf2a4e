"""When roles were last heard of on a broker of one's own: hints for people.

A role on several hosts is silent when all of them are. Roles of the embedded stack have a supervisor, and give no sign.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final

import click

from client.broker import Mailbox
from client.errors import BrokerUnreachable
from client.output import time_of_ns, to_the_second
from config import queues
from crypto import job as jobs
from crypto.registry import Registry

SILENT_S: Final = 30.0
"""A role says every five seconds that it lives; one that is busy or starts again is not called silent."""
LOOK_EVERY_S: Final = 5.0

WORKERS: Final[Mapping[str, str]] = {
    jobs.INIT: queues.BACKUP,
    jobs.BACKUP: queues.BACKUP,
    jobs.RESTORE: queues.RESTORE,
    jobs.LIST: queues.RESTORE,
    jobs.FIND: queues.RESTORE,
    jobs.DIFF: queues.RESTORE,
    jobs.CHECK: queues.MAINTENANCE,
    jobs.FORGET: queues.MAINTENANCE,
    jobs.PRUNE: queues.MAINTENANCE,
    jobs.EXTEND: queues.MAINTENANCE,
}
"""Whose workers do a job of a kind; of the others the scheduler does everything."""

Seen = Mapping[str, float | None]
"""By station, how many seconds ago it gave its last sign; None: none since the broker began."""


def stations(registry: Registry) -> tuple[str, ...]:
    """Every role that somebody is enrolled for, or that needs no identity: all of them are to run somewhere."""
    workers = {
        queues.station(role, each.host if role in queues.HOSTED_ROLES else "")
        for each in registry.identities
        for role in each.roles
        if role in queues.QUEUE_OF_ROLE
    }
    return tuple(sorted({queues.SCHEDULER, queues.BEAT, queues.KEY_BROKER} | workers))


def needed(registry: Registry, kind: str, vault: bytes, host: str) -> tuple[str, ...]:
    """The stations without which a job gets no further; `host`: that it names, if any."""
    role = WORKERS.get(kind)
    if role is None:
        return (queues.SCHEDULER, queues.BEAT)
    if role in queues.HOSTED_ROLES:
        host = host or next((each.host for each in registry.vaults if each.id == vault), "")
    return (queues.SCHEDULER, queues.BEAT, queues.KEY_BROKER, queues.station(role, host))


def silent(seen: Seen) -> tuple[str, ...]:
    """Those that have given no sign for too long."""
    return tuple(station for station, age_s in seen.items() if age_s is None or age_s > SILENT_S)


def since(station: str, age_s: float | None) -> str:
    """What is to be said about a silent one."""
    role, _, host = station.partition(".")
    what = f"{role} worker" if role in WORKERS.values() else role
    where = f" of {host}" if host else ""
    if age_s is None:
        return f"no {what}{where} has been seen since the broker began"
    when = time_of_ns(time.time_ns() - int(age_s * 1e9))
    return f"no {what}{where} has been seen since {to_the_second(when)}"


class Lookout:
    """Says on standard error which roles a command waits for in vain, each once for as long as it is silent.

    Args:
        mailbox: of the command.
        wanted: stations.
    """

    def __init__(self, mailbox: Mailbox, wanted: Sequence[str]) -> None:
        self._mailbox = mailbox
        self._wanted = wanted
        self._told: frozenset[str] = frozenset()
        self._next = 0.0

    def look(self) -> None:
        """Look, every now and then; call it freely while nothing comes."""
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + LOOK_EVERY_S
        try:
            seen = self._mailbox.seen(self._wanted)
        except BrokerUnreachable:
            return  # whoever waits finds out
        missing = silent(seen)
        for station in missing:
            if station not in self._told:
                click.echo(f"strongroom: waiting: {since(station, seen[station])}", err=True)
        self._told = frozenset(missing)
