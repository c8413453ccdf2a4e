from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crypto.registry import Registry
from tests.aws.delivered import Delivered, environment
from tests.aws.server import FakeAws
from workers.key_broker.probe import main


@pytest.fixture
def probe(aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    delivered = Delivered(aws)
    (tmp_path / "registry.json").write_bytes(Registry(tenant=delivered.a.tenant).encode())
    monkeypatch.setenv("STRONGROOM_HOME", str(tmp_path))
    for name, value in environment(delivered.host("key-broker"), tmp_path).items():
        monkeypatch.setenv(name, value)
    for name, value in delivered.settings().items():
        monkeypatch.setenv(f"STRONGROOM_KMS_{name.upper()}", str(value))

    def run(uri: str, *more: str) -> Result:
        return CliRunner().invoke(main, [uri, *more])

    run.delivered = delivered  # type: ignore[attr-defined]
    return run


def test_it_says_yes_and_makes_no_key(probe: Any, aws: FakeAws) -> None:
    done = probe(f"aws-kms://{probe.delivered.a.key.arn}")
    assert done.exit_code == 0
    assert done.output.startswith("yes: the key is enabled")
    assert [event.error for event in aws.of("GenerateDataKey")] == ["DryRunOperationException"]


def test_it_says_why_not(probe: Any) -> None:
    own, others = probe.delivered.a.key, probe.delivered.b.key
    for uri, more, says in (
        (others.arn, (), "does not let"),
        (own.arn, ("--tenant", "ab" * 16), "does not let"),
        (own.arn, ("--tenant", "x"), "32 hex digits"),
        ("alias/x", (), "ARN"),
    ):
        done = probe(f"aws-kms://{uri}", *more)
        assert done.exit_code == 1
        assert says in done.stderr
    own.change(state="Disabled")
    assert "disabled" in probe(f"aws-kms://{own.arn}").stderr
