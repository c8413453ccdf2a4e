"""Every role at work under the delivered policies, on real servers: what it asks for it may, and what it may it needs;
and what it must not do is refused it. The table of refusals is in docs/threat-model.md, "Least privilege".
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from client.compare import compare
from deploy.iam.seaweedfs import COMPOSE, OUT, files, unsaid
from deploy.iam.table import BACKUP, CLIENT, KEY_BROKER_TENANT, MAINTENANCE, RESTORE, Statement
from tests.aws.pki import make_pki
from tests.deploy.roles_site import NAMES, STORE_ROLES, VAULT, RolesSite, is_allowed, put_policies
from tests.e2e.conftest import wait_for
from tests.e2e.hosts import Site
from tests.repository.s3.proxy import proxy
from tests.s3_server import PARCELS, REPOSITORY, S3Server

BIG = 20 << 20
"""Sent in parts."""


@dataclass
class World:
    installation: RolesSite
    tree: Path
    backup: dict[str, Any]
    restored: Path


@pytest.fixture(scope="module")
def world(s3: S3Server) -> Iterator[World]:
    # A short path: the broker behind the TLS front listens on a socket.
    root = Path(tempfile.mkdtemp(prefix="roles-"))
    (root / "pki-aws").mkdir()
    put_policies(s3)
    site = Site(root, ())
    try:
        with site.broker(), proxy(s3.tls_endpoint, s3.ca) as recorder:
            installation = RolesSite(site, s3, recorder, make_pki(root / "pki-aws"))
            yield _work(installation)
            installation.close()
            codes = site.stop()
        assert set(codes.values()) == {0}, codes
    finally:
        site.stop()
        shutil.rmtree(root)


def _work(installation: RolesSite) -> World:
    """Everything that the roles do for an operator."""
    root, client = installation.site.root, installation.client
    tree = root / "tree"
    tree.mkdir()
    for number in range(20):
        (tree / f"{number}.txt").write_bytes(b"%d " % number * 999)
    (tree / "big").write_bytes(os.urandom(BIG))
    made = client.json("backup", VAULT, str(tree))
    client.json("backup", VAULT, str(tree))
    client.json("restore", VAULT, f"latest:{tree}", "--target", str(root / "restored"))
    client.json("snapshots", VAULT)
    client.json("check", VAULT, "--read-data")
    other = root / "other"
    other.mkdir()
    (other / "file").write_bytes(os.urandom(99_999))
    gone = client.json("backup", VAULT, str(other))["snapshot"]
    assert client.json("forget", VAULT, gone, "--prune")["prune"]["packs"] == 1
    assert client.json("check", VAULT)["unused_packs"] == 0
    # The scheduler's own look at a new vault; the next one comes after a quarter of the retention.
    wait_for(
        lambda: "extend" in {each["kind"] for each in client.json("jobs") if each["state"] == "done"}, 60
    )
    _shorten_locks(installation)
    assert client.json("lock", "extend", VAULT)["extended"] > 0
    return World(installation, tree, made, root / "restored")


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


def test_a_backup_is_restored_over_s3_and_aws_kms(world: World):
    assert world.backup["errors"] == 0
    assert compare(world.tree, world.restored).differences == []


def test_whatever_a_role_asks_of_s3_its_policy_allows(world: World):
    calls = world.installation.calls()
    assert {call.role for call in calls} == set(STORE_ROLES)
    assert not {str(call) for call in calls if not is_allowed(call)}


NOT_SEEN_HERE: dict[str, dict[str, str]] = {
    "backup": {
        "s3:AbortMultipartUpload": "gives up an upload that breaks off: tests/repository/s3/test_faults.py",
    },
    "restore": {
        "s3:AbortMultipartUpload": "the same, of a large parcel",
    },
    "maintenance": {
        "s3:AbortMultipartUpload": "sweeps what died more than a day ago: tests/repository/s3/test_faults.py",
        "s3:GetBucketObjectLockConfiguration": "making a place to write into looks at its lock: with key migration",
    },
    "client": {
        "s3:GetObject on the repository": "the clear header of a repository that is attached: tests/e2e/test_s3.py",
    },
}
"""Allowed, and not asked for by the work above, in which nothing breaks: why it is allowed all the same."""
WITHIN = {"s3:GetObjectRetention": "s3:GetObject"}
"""No request of its own: S3 tells the lock in the answer to HeadObject, to those who may see it."""


def _actions(role: str, statements: tuple[Statement, ...]) -> set[str]:
    """What a role is allowed, apart from the keys and sources of other installations."""
    found = set()
    for row in statements:
        if row.effect == "Allow" and not row.needs:
            on_repository = role == "client" and "repository_bucket" in row.resources[0]
            found |= {f"{action} on the repository" if on_repository else action for action in row.actions}
    return found


@pytest.mark.parametrize(
    ("role", "statements"),
    [("backup", BACKUP), ("restore", RESTORE), ("maintenance", MAINTENANCE), ("client", CLIENT)],
)
def test_whatever_a_policy_allows_is_asked_for_or_there_for_a_reason(
    world: World, role: str, statements: tuple[Statement, ...]
):
    used = {call.action for call in world.installation.calls() if call.role == role}
    used |= {action for action, beside in WITHIN.items() if beside in used}
    allowed = _actions(role, statements)
    unused = allowed - used
    assert unused == set(NOT_SEEN_HERE[role]), "allowed and not needed, or needed and still excused"
    assert used - set(WITHIN) <= allowed


def test_the_key_broker_makes_the_calls_of_its_policies_and_no_other(world: World):
    events = world.installation.aws.events
    assert not [event for event in events if event.error]
    of_sessions = {action for row in KEY_BROKER_TENANT if row.effect == "Allow" for action in row.actions}
    assert {f"kms:{each.operation}" for each in events if each.operation != "AssumeRole"} == of_sessions
    starts = [event.principal for event in events if event.operation == "AssumeRole"]
    assert starts
    assert all("assumed-role/strongroom-key-broker/" in principal for principal in starts)


S3Call = Callable[[Any, str], Any]
MUST_NOT: list[tuple[str, str, S3Call]] = [
    ("backup", "removes a pack", lambda s3, pack: s3.delete_object(Bucket=REPOSITORY, Key=pack)),
    ("backup", "changes the policy", lambda s3, _: s3.put_bucket_policy(Bucket=REPOSITORY, Policy="{}")),
    ("backup", "reads parcels", lambda s3, _: s3.list_objects_v2(Bucket=PARCELS, Prefix="parcels/")),
    ("backup", "delivers", lambda s3, _: s3.put_object(Bucket=PARCELS, Key="parcels/x", IfNoneMatch="*")),
    ("backup", "writes beside", lambda s3, _: s3.put_object(Bucket=REPOSITORY, Key="x", IfNoneMatch="*")),
    (
        "restore",
        "writes into the repository",
        lambda s3, _: s3.put_object(Bucket=REPOSITORY, Key=f"{VAULT}/packs/x", IfNoneMatch="*"),
    ),
    ("restore", "removes a pack", lambda s3, pack: s3.delete_object(Bucket=REPOSITORY, Key=pack)),
    (
        "maintenance",
        "removes a wrapped key",
        lambda s3, _: s3.delete_object(Bucket=REPOSITORY, Key=f"{VAULT}/keys/chunk-id"),
    ),
    (
        "maintenance",
        "removes the configuration",
        lambda s3, _: s3.delete_object(Bucket=REPOSITORY, Key=f"{VAULT}/config"),
    ),
    ("client", "reads a pack", lambda s3, pack: s3.get_object(Bucket=REPOSITORY, Key=pack)),
    ("client", "lists", lambda s3, _: s3.list_objects_v2(Bucket=REPOSITORY, Prefix=f"{VAULT}/")),
    ("scheduler", "reads a pack", lambda s3, pack: s3.get_object(Bucket=REPOSITORY, Key=pack)),
    ("scheduler", "lists", lambda s3, _: s3.list_objects_v2(Bucket=REPOSITORY, Prefix=f"{VAULT}/")),
    ("key-broker", "reads a pack", lambda s3, pack: s3.get_object(Bucket=REPOSITORY, Key=pack)),
]


@pytest.mark.parametrize(
    ("role", "what", "call"), MUST_NOT, ids=lambda each: each if isinstance(each, str) else ""
)
def test_the_store_refuses_what_a_role_must_not_do(
    world: World, s3: S3Server, role: str, what: str, call: S3Call
):
    # The backup role may list, and does so as a control that its keys are good.
    found = s3.client("backup").list_objects_v2(Bucket=REPOSITORY, Prefix=f"{VAULT}/packs/")["Contents"]
    with pytest.raises(ClientError, match="AccessDenied"):
        call(s3.client(role), found[0]["Key"])


@pytest.mark.parametrize("role", ["backup", "restore", "maintenance", "scheduler", "client"])
def test_kms_refuses_every_role_but_the_key_broker(world: World, role: str):
    """With the keys of the role's host, past our own code, which has no way to a KMS in these roles at all."""
    delivered = world.installation.delivered
    options = {
        "region_name": "eu-central-1",
        "endpoint_url": world.installation.aws.url,
        "verify": str(world.installation.ca),
    }
    of_host = delivered.host(role).boto()
    with pytest.raises(ClientError, match="AccessDenied"):
        boto3.client("kms", **of_host, **options).generate_data_key(
            KeyId=delivered.a.key.arn, KeySpec="AES_256", EncryptionContext=delivered.a.context()
        )
    with pytest.raises(ClientError, match="AccessDenied"):
        boto3.client("sts", **of_host, **options).assume_role(
            RoleArn=delivered.roles["key-broker-tenant"].arn,
            RoleSessionName="stolen",
            ExternalId=delivered.settings()["aws_external_id"],
            Tags=[{"Key": "tenant", "Value": delivered.a.tenant.hex()}],
        )
    for event in world.installation.aws.events[-2:]:
        assert event.error.startswith("AccessDenied")
    del world.installation.aws.events[-2:]


def test_files_for_the_local_s3_are_up_to_date():
    for name, content in files().items():
        assert (OUT / name).read_text() == content, f"run python -m deploy.iam.seaweedfs: {name}"


def test_what_cannot_be_said_to_the_local_s3_is_what_its_page_says():
    assert unsaid("repository-bucket", COMPOSE) == ["OnlyNewObjects"]
    assert unsaid("delivery-bucket", NAMES) == []
