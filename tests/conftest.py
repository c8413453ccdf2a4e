"""What tests of several packages share."""

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.s3_server import S3Server


def pytest_configure() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would every command that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[S3Server]":
    """A real S3 server, started for the first test that asks for it."""
    from tests.s3_server import s3_server  # boto3 is slow to import, and most runs of a few tests need none

    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server
