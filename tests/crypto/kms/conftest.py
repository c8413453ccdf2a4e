from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crypto.kms import lock
from crypto.kms.keystore import Keystore

if TYPE_CHECKING:
    from tests.aws.delivered import Customer
    from tests.crypto.kms.aws_bench import Bench

NOW_MS = 1_790_000_000_000
DAY_MS = 24 * 60 * 60 * 1000


class Clock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms

    def pass_days(self, days: float) -> None:
        self.now_ms += round(days * DAY_MS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keystore(tmp_path: Path, clock: Clock) -> Keystore:
    """A keystore with a key file and one CMK, `main`."""
    made = Keystore(tmp_path / "kms", None, clock)
    made.initialise()
    made.create("main")
    return made


@pytest.fixture
def cheap_argon2(monkeypatch: pytest.MonkeyPatch) -> None:
    """New passphrase locks cost next to nothing: these tests are about what opens, not about what it costs."""
    monkeypatch.setattr(lock, "ARGON2_ITERATIONS", 1)
    monkeypatch.setattr(lock, "ARGON2_LANES", 1)
    monkeypatch.setattr(lock, "ARGON2_MEMORY_KIB", 8)


@pytest.fixture
def passphrase() -> Callable[[], bytes]:
    return lambda: b"correct horse"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Iterator[Bench]":
    """AWS as it is delivered; made for the tests of its provider alone, because boto3 is slow to import."""
    from tests.aws.server import FakeAws
    from tests.crypto.kms.aws_bench import Bench

    aws = FakeAws()
    made = Bench(aws, monkeypatch, tmp_path)
    yield made
    made.sessions.close()
    aws.close()


@pytest.fixture
def a(bench: "Bench") -> "Customer":
    return bench.world.a


@pytest.fixture
def b(bench: "Bench") -> "Customer":
    return bench.world.b
