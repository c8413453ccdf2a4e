"""What a person is told while nothing gets on: in time to do something about it, not after the last attempt."""

import time
from typing import Final

import click

from client.output import shown, time_of_ms, to_the_second
from config.errors import StrongroomError

STORE_SILENT: Final = "the store does not answer"
NO_KEY: Final = "no key can be had yet"


class Waits:
    """Writes one line to standard error for each span of waiting, however many calls wait in it."""

    def __init__(self) -> None:
        self._until_ms: dict[str, int] = {}

    def hear(self, why: str, until_ms: int, what: str = STORE_SILENT) -> None:
        """A store does not answer, or there is no key; it is tried again until `until_ms` (since 1970)."""
        if _now_ms() < self._until_ms.get(what, 0):
            return
        self._until_ms[what] = until_ms
        until = to_the_second(time_of_ms(until_ms)).partition("T")[2]
        click.echo(f"strongroom: {what}: {shown(why)}; trying again until {until}", err=True)

    def of_store(self, error: StrongroomError, left_s: float) -> None:
        """The same, of a store that this process asks itself (`repository.retry.OnWait`)."""
        self.hear(error.message, _now_ms() + int(left_s * 1000))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
