"""Object Lock on a real server: what is locked, for how long, and that it cannot be undone."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from repository.errors import ObjectMissing
from repository.place import parse_place
from repository.s3.store import S3Pruner
from repository.s3.transfer import PART
from tests.repository.s3.conftest import NO_WAITING, QUICK
from tests.s3_server import BUCKET, LOCKED, S3Server

Make = Callable[..., S3Pruner]


@pytest.fixture
def locked(s3: S3Server, prefix: str) -> Make:
    def make(lock: str = "governance", retention: str = "1h") -> S3Pruner:
        uri = s3.uri(prefix, LOCKED, lock=lock, retention=retention)
        return S3Pruner(parse_place(uri), QUICK, NO_WAITING, create=True)  # type: ignore[arg-type]

    return make


def head(s3: S3Server, prefix: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = s3.client().head_object(Bucket=LOCKED, Key=f"{prefix}/{name}")
    return found


def left(found: dict[str, Any]) -> float:
    seconds: float = (found["ObjectLockRetainUntilDate"] - datetime.now(UTC)).total_seconds()
    return seconds


@pytest.mark.parametrize("lock", ["governance", "compliance"])
@pytest.mark.parametrize("size", [10, 2 * PART + 1])
def test_what_outlives_its_job_is_locked_from_its_creation(
    locked: Make, s3: S3Server, prefix: str, lock: str, size: int
):
    retention = "1h" if lock == "governance" else "2h"
    store = locked(lock, retention)
    store.put("packs/aa/bb", [bytes(size)])
    found = head(s3, prefix, "packs/aa/bb")
    assert found["ObjectLockMode"] == lock.upper()
    assert 0 <= int(retention[0]) * 3600 - left(found) < 60
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.client().delete_object(Bucket=LOCKED, Key=f"{prefix}/packs/aa/bb", VersionId=found["VersionId"])


def test_what_a_job_works_with_is_not_locked(locked: Make, s3: S3Server, prefix: str):
    locked().put("jobs/aa/plan", [b"x"])
    assert "ObjectLockMode" not in head(s3, prefix, "jobs/aa/plan")


def test_deleting_hides_and_the_version_stays(locked: Make, s3: S3Server, prefix: str):
    store = locked()
    store.put("packs/aa/bb", [b"x"])
    version = head(s3, prefix, "packs/aa/bb")["VersionId"]
    store.delete("packs/aa/bb")
    with pytest.raises(ObjectMissing):
        store.get("packs/aa/bb", 1)
    assert list(store.list("")) == []
    kept = s3.client().get_object(Bucket=LOCKED, Key=f"{prefix}/packs/aa/bb", VersionId=version)
    assert kept["Body"].read() == b"x"
    store.put("packs/aa/bb", [b"y"])
    assert store.get("packs/aa/bb", 1) == b"y"


def test_a_lock_is_extended_when_little_of_it_is_left(locked: Make, s3: S3Server, prefix: str):
    locked(retention="1h").put("packs/aa/bb", [b"x"])
    store = locked(retention="10h")
    assert store.extend("packs/aa/bb") is True
    assert left(head(s3, prefix, "packs/aa/bb")) > 9.9 * 3600
    assert store.extend("packs/aa/bb") is False
    assert locked(retention="1h").extend("packs/aa/bb") is False, "a lock is never shortened"
    assert left(head(s3, prefix, "packs/aa/bb")) > 9.9 * 3600


def test_what_was_stored_before_there_was_a_lock_is_locked_by_extending(
    locked: Make, s3: S3Server, prefix: str
):
    s3.client().put_object(Bucket=LOCKED, Key=f"{prefix}/packs/aa/bb", Body=b"x")
    assert locked().extend("packs/aa/bb") is True
    assert head(s3, prefix, "packs/aa/bb")["ObjectLockMode"] == "GOVERNANCE"


def test_a_compliance_lock_stays_one(locked: Make, s3: S3Server, prefix: str):
    locked("compliance", "1h").put("packs/aa/bb", [b"x"])
    assert locked("governance", "5h").extend("packs/aa/bb") is True
    found = head(s3, prefix, "packs/aa/bb")
    assert found["ObjectLockMode"] == "COMPLIANCE"
    assert left(found) > 4.9 * 3600
    assert locked("compliance", "3h").extend("packs/aa/bb") is False


def test_extending_what_is_gone_is_an_error(locked: Make):
    with pytest.raises(ObjectMissing):
        locked().extend("packs/aa/none")


def test_without_a_lock_there_is_nothing_to_extend(s3: S3Server):
    uri = s3.uri(f"locks/{secrets.token_hex(8)}", BUCKET)
    store = S3Pruner(parse_place(uri), QUICK, NO_WAITING)  # type: ignore[arg-type]
    store.put("a", [b"x"])
    assert store.extend("a") is False
