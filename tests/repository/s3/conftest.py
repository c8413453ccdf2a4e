"""Places on the real server, behind a proxy that spoils requests."""

import secrets
from collections.abc import Callable, Iterator

import pytest

from config.settings import StoreSettings
from repository.place import S3Place, parse_place
from repository.retry import RetryPolicy
from repository.s3.client import forget_clients
from repository.s3.store import S3Pruner
from tests.repository.s3.proxy import Proxy, proxy
from tests.s3_server import BUCKET, S3Server

QUICK = StoreSettings(connect_timeout_s=2.0, read_timeout_s=1.0, deadline_s=5.0)
NO_WAITING = RetryPolicy(deadline_s=20.0, sleep=lambda seconds: None)

Open = Callable[..., S3Pruner]


@pytest.fixture
def spoiler(s3: S3Server) -> Iterator[Proxy]:
    forget_clients()
    with proxy(s3.endpoint) as running:
        yield running
    forget_clients()


@pytest.fixture
def prefix() -> str:
    return f"faults/{secrets.token_hex(8)}"


@pytest.fixture
def opened(s3: S3Server, spoiler: Proxy, prefix: str) -> Open:
    """Opens a store behind the proxy, without the decorators; options are those of the URI."""

    def make(bucket: str = BUCKET, settings: StoreSettings = QUICK, **options: str) -> S3Pruner:
        place = parse_place(s3.uri(prefix, bucket, endpoint=spoiler.endpoint, **options))
        assert isinstance(place, S3Place)
        return S3Pruner(place, settings, NO_WAITING)

    return make
