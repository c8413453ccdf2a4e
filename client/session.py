"""A session: an installation, connected to a broker for the length of one command."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType

import click

from client.broker import Mailbox, Publisher
from client.installation import Installation
from client.stack import OneShotStack
from config.broker import broker_url
from config.hardening import harden_process
from config.queues import CLIENT
from config.stack_file import running_stack
from crypto.registry import Registry


@dataclass
class Session:
    """What jobs are submitted and followed through.

    Attributes:
        broker_url: holds a password.
        stack: the embedded stack of this command, None when another one is used.
        seconds_to_start: what the embedded stack took until it was ready.
        dropped: letters that did not verify.
    """

    installation: Installation
    mailbox: Mailbox
    publisher: Publisher
    stack: OneShotStack | None
    broker_url: str = field(repr=False)
    seconds_to_start: float = 0.0
    dropped: int = field(default=0)

    @property
    def registry(self) -> Registry:
        """Whom letters and parcels are believed from."""
        return self.installation.registry

    def require_alive(self) -> None:
        """Refuse to go on without the embedded stack, if this command started one.

        Raises:
            StackFailed: it died.
        """
        if self.stack is not None:
            self.stack.require_alive()


@contextmanager
def open_session(installation: Installation, *stack_arguments: str) -> Iterator[Session]:
    """Connect to the configured broker or to the stack that is up; else start a stack for this command.

    The process is made undumpable first: it is about to hold keys. SIGTERM ends the block like Ctrl-C.

    Args:
        stack_arguments: for the supervisor of an embedded stack.

    Raises:
        StackFailed: the embedded stack does not start.
        ConfigError: the configured broker's password or TLS files cannot be read.
    """
    harden_process()
    with ExitStack() as cleanup:
        cleanup.enter_context(_terminable())
        begun = time.monotonic()
        stack: OneShotStack | None = None
        settings = installation.settings
        url = broker_url(settings.broker, CLIENT) if settings.broker.url else ""
        if not url and not stack_arguments and (kept := running_stack(installation.home)):
            url = kept.broker_url
        if not url:
            stack = OneShotStack(installation.home, *stack_arguments)
            cleanup.callback(stack.close)
            url = stack.wait_ready().broker_url
        started = time.monotonic() - begun
        mailbox = Mailbox(url, settings)
        cleanup.callback(mailbox.close)
        publisher = Publisher(url, settings)
        cleanup.callback(publisher.close)
        session = Session(installation, mailbox, publisher, stack, url, started)
        cleanup.callback(_tell_dropped, session)
        yield session


def _tell_dropped(session: Session) -> None:
    if session.dropped:
        click.echo(
            f"strongroom: {session.dropped} letters were not believed: somebody else writes to the broker's lists",
            err=True,
        )


@contextmanager
def _terminable() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
