"""A prefix on the real server, behind a proxy that spoils requests."""

import secrets
from dataclasses import dataclass, field

import pytest

from config.settings import StoreSettings
from sources.patterns import Patterns
from sources.s3.objects import ObjectSource
from sources.source import Found, Note, ReadItem, Wanted
from tests.repository.s3.conftest import spoiler
from tests.repository.s3.proxy import Proxy
from tests.s3_server import BUCKET, S3Server

__all__ = ["spoiler"]

QUICK = StoreSettings(connect_timeout_s=2.0, read_timeout_s=2.0, deadline_s=4.0, parallel=4)


@dataclass
class Bytes:
    """A sink with little room, as when a stream's buffer is nearly full."""

    data: bytearray = field(default_factory=bytearray)
    room: int = 1 << 20

    def __post_init__(self) -> None:
        self._space = memoryview(bytearray(self.room))

    def space(self) -> memoryview:
        return self._space

    def filled(self, count: int) -> None:
        self.data += self._space[:count]


@dataclass
class Place:
    """Objects below a prefix, and the source that reads them through the proxy."""

    s3: S3Server
    spoiler: Proxy
    prefix: str
    bucket: str = BUCKET

    def put(self, key: str, body: bytes = b"x", **options: object) -> None:
        self.s3.client().put_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}", Body=body, **options)

    def source(self, below: str = "", **options: str) -> ObjectSource:
        uri = self.s3.uri(self.prefix + below, self.bucket, endpoint=self.spoiler.endpoint, **options)
        return ObjectSource([uri], QUICK)

    def path(self, key: str) -> bytes:
        return f"/s3:/{self.bucket}/{self.prefix}/{key}".encode()

    def walk(self, excludes: Patterns | None = None) -> list[Found]:
        errors: list[Note] = []
        tell = lambda path, why: errors.append((path, why))  # noqa: E731
        found = list(self.source().walk(excludes or Patterns(), tell, tell))
        assert errors == []
        return found

    def read(self, found: Found) -> tuple[bytes, ReadItem]:
        sink = Bytes()
        with self.source().reader() as reader:
            item = reader.read(Wanted(found.path, found.size, found.stamp), sink)
        return bytes(sink.data), item


@pytest.fixture
def place(s3: S3Server, spoiler: Proxy) -> Place:
    return Place(s3, spoiler, f"objects/{secrets.token_hex(6)}")
