"""Everything that the roles do for an operator: files and buckets are backed up, restored, checked, kept locked.

On the way some answers of the store are lost and some requests refused: what a role needs then is needed all the same.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.deploy.roles_site import SOURCES, TARGETS, VAULT, VERSIONED, Call, RolesSite
from tests.repository.s3.proxy import Fault, Request
from tests.s3_server import PARCELS, REPOSITORY, next_second
from tests.whole.room import wait_for

BIG = 20 << 20
"""Sent in parts."""
OBJECTS = {"a/b": b"one", "a-b": b"two", "tagged": b"three", "big": os.urandom(BIG)}
TAGS = {"colour": "red"}


@dataclass
class World:
    """What there is after the work.

    Attributes:
        tree, restored: what was backed up, and where it came back.
        backup: the command's answer.
        objects: answers of the backups of buckets, by bucket.
        of_objects: answers of the restores to a bucket, by prefix.
        calls: all that was asked of the store on the way.
    """

    installation: RolesSite
    tree: Path
    restored: Path
    backup: dict[str, Any]
    objects: dict[str, Any]
    of_objects: dict[str, Any]
    calls: list[Call]


def work(installation: RolesSite) -> World:
    """Do it all."""
    root, client = installation.site.root, installation.client
    tree = root / "tree"
    tree.mkdir()
    for number in range(20):
        (tree / f"{number}.txt").write_bytes(b"%d " % number * 999)
    (tree / "big").write_bytes(os.urandom(BIG))
    made = client.json("backup", VAULT, str(tree))
    client.json("backup", VAULT, str(tree))
    _lose_an_answer(installation, PARCELS)
    client.json("restore", VAULT, f"latest:{tree}", "--target", str(root / "restored"))
    client.json("snapshots", VAULT)
    client.json("check", VAULT, "--read-data")
    other = root / "other"
    other.mkdir()
    (other / "file").write_bytes(os.urandom(99_999))
    gone = client.json("backup", VAULT, str(other))["snapshot"]
    # A hidden snapshot is told as an error while none that is left is newer; times in S3 are whole seconds.
    next_second()
    client.json("backup", VAULT, str(tree))
    assert client.json("forget", VAULT, gone, "--prune")["prune"]["packs"] == 1
    assert client.json("check", VAULT)["unused_packs"] == 0
    # The scheduler's own look at a new vault; the next one comes after a quarter of the retention.
    wait_for(
        lambda: "extend" in {each["kind"] for each in client.json("jobs") if each["state"] == "done"}, 60
    )
    _shorten_locks(installation)
    assert client.json("lock", "extend", VAULT)["extended"] > 0
    objects = _back_up_buckets(installation)
    of_objects = _restore_to_bucket(installation)
    return World(installation, tree, root / "restored", made, objects, of_objects, installation.calls())


def _back_up_buckets(installation: RolesSite) -> dict[str, Any]:
    admin = installation.s3.client("admin")
    for bucket in (SOURCES, VERSIONED):
        # What a key holds no more is there in the bucket with versions.
        admin.put_object(Bucket=bucket, Key="given/tagged", Body=b"older")
        for key, body in OBJECTS.items():
            tags = "&".join(f"{name}={value}" for name, value in TAGS.items()) if key == "tagged" else ""
            admin.put_object(Bucket=bucket, Key=f"given/{key}", Body=body, Tagging=tags)
    return {
        bucket: installation.client.json("backup", VAULT, installation.bucket(bucket, "given"))
        for bucket in (SOURCES, VERSIONED)
    }


def _restore_to_bucket(installation: RolesSite) -> dict[str, Any]:
    """From the bucket with versions: once with lost answers, and once with a part that is refused."""

    def restore(prefix: str, code: int) -> Any:
        words = (f"latest:s3://{VERSIONED}/given", "--target", installation.bucket(TARGETS, prefix))
        return installation.client.json("restore", VAULT, *words, code=code)

    _lose_an_answer(installation, TARGETS)
    done = {"whole": restore("whole", 0)}
    installation.proxy.faults.append(Fault(_sends_part, status=403, code="AccessDenied"))
    return done | {"broken": restore("broken", 3)}


def _lose_an_answer(installation: RolesSite, bucket: str) -> None:
    """The next object that appears in a bucket does so, and its writer does not hear of it."""

    def writes(request: Request) -> bool:
        whole = request.method == "PUT" and "partNumber" not in request.target
        completes = request.method == "POST" and "uploadId" in request.target
        return f"/{bucket}/" in request.target and (whole or completes)

    installation.proxy.faults.append(Fault(writes, drop="answer"))


def _sends_part(request: Request) -> bool:
    return f"/{TARGETS}/" in request.target and "partNumber" in request.target


def _shorten_locks(installation: RolesSite) -> None:
    """As if most of the retention had passed: only the administrator can."""
    admin = installation.s3.client("admin")
    for entry in admin.list_objects_v2(Bucket=REPOSITORY, Prefix=f"{VAULT}/packs/")["Contents"]:
        admin.put_object_retention(
            Bucket=REPOSITORY,
            Key=entry["Key"],
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(minutes=5)},
            BypassGovernanceRetention=True,
        )
