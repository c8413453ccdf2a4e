"""Every role at work under the delivered policies, on real servers: what it asks for it may, and what it may it needs;
and what it must not do is refused it. The table of refusals is in docs/threat-model.md, "Least privilege".
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from client.compare import compare
from deploy.iam.kms import KEY_BROKER_TENANT
from deploy.iam.roles import BACKUP, CLIENT, MAINTENANCE, RESTORE
from deploy.iam.seaweedfs import COMPOSE, OUT, files, unsaid
from deploy.iam.statement import Statement
from tests.aws.pki import make_pki
from tests.deploy.roles_site import (
    NAMES,
    SOURCES,
    STORE_ROLES,
    TARGETS,
    VAULT,
    VERSIONED,
    RolesSite,
    is_allowed,
    place_of,
    put_policies,
)
from tests.deploy.roles_work import OBJECTS, TAGS, World, work
from tests.repository.s3.proxy import proxy
from tests.s3_server import PARCELS, REPOSITORY, S3Server
from tests.whole.hosts import Site


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
            yield work(installation)
            installation.close()
            codes = site.stop()
        assert set(codes.values()) == {0}, codes
    finally:
        site.stop()
        shutil.rmtree(root)


def test_a_backup_is_restored_over_s3_and_aws_kms(world: World):
    assert world.backup["errors"] == 0
    assert compare(world.tree, world.restored).differences == []


def test_whatever_a_role_asks_of_s3_its_policy_allows(world: World):
    assert {call.role for call in world.calls} == set(STORE_ROLES)
    assert not {str(call) for call in world.calls if not is_allowed(call)}


NOT_SEEN_HERE: dict[str, dict[str, str]] = {
    "backup": {
        "AbortMultipartUpload on repository": "an upload that breaks off: tests/repository/s3/test_faults.py",
    },
    "restore": {
        "AbortMultipartUpload on delivery": "the same, of a large parcel",
    },
    "maintenance": {
        "AbortMultipartUpload on repository": "what died more than a day ago: tests/repository/s3/test_faults.py",
    },
    "client": {
        "GetObject on repository": "the clear header of a repository that is attached: tests/e2e/test_s3.py",
    },
}
"""Allowed, and not asked for by the work above: why it is allowed all the same."""
WITHIN = {"GetObjectRetention on repository": "GetObject on repository"}
"""No request of its own: S3 tells the lock in the answer to HeadObject, to those who may see it."""


def _granted(statements: tuple[Statement, ...]) -> set[str]:
    """What a role is allowed, apart from the keys of buckets, which S3 uses for it."""
    return {
        f"{action.removeprefix('s3:')} on {place_of(resource)}"
        for row in statements
        if row.effect == "Allow" and row.needs != "bucket_key_arns"
        for resource in ([row.resources] if isinstance(row.resources, str) else row.resources)
        for action in row.actions
    }


@pytest.mark.parametrize(
    ("role", "statements"),
    [("backup", BACKUP), ("restore", RESTORE), ("maintenance", MAINTENANCE), ("client", CLIENT)],
)
def test_whatever_a_policy_allows_is_asked_for_or_there_for_a_reason(
    world: World, role: str, statements: tuple[Statement, ...]
):
    used = {f"{call.action.removeprefix('s3:')} on {call.place}" for call in world.calls if call.role == role}
    used |= {action for action, beside in WITHIN.items() if role == "maintenance" and beside in used}
    granted = _granted(statements)
    assert granted - used == set(NOT_SEEN_HERE[role]), "allowed and not needed, or needed and still excused"
    assert used <= granted


def test_buckets_are_backed_up_and_restored_with_their_tags(world: World, s3: S3Server):
    for bucket in (SOURCES, VERSIONED):
        answer = world.objects[bucket]
        assert (answer["files"], answer["errors"]) == (len(OBJECTS), 0), answer
    admin = s3.client("admin")
    for key, body in OBJECTS.items():
        assert admin.get_object(Bucket=TARGETS, Key=f"whole/{key}")["Body"].read() == body
    found = admin.get_object_tagging(Bucket=TARGETS, Key="whole/tagged")["TagSet"]
    assert {each["Key"]: each["Value"] for each in found} == TAGS


def test_what_may_not_be_written_is_named_and_leaves_no_upload(world: World, s3: S3Server):
    """A part of one object was refused."""
    failed = world.of_objects["broken"]["failed"]
    assert [(Path(each["path"]).name, "AccessDenied" in each["error"]) for each in failed] == [("big", True)]
    assert not s3.client("admin").list_multipart_uploads(Bucket=TARGETS).get("Uploads")


def test_a_bucket_that_is_not_named_in_the_table_is_refused_and_said_so(world: World):
    """The role's row names the buckets that may be read, and those that may be written."""
    client, bucket = world.installation.client, world.installation.bucket
    before = client.json("snapshots", VAULT)
    for words, place in (
        (("backup", VAULT, bucket(TARGETS, "whole")), TARGETS),
        (("restore", VAULT, "latest", "--target", bucket(SOURCES, "again")), SOURCES),
    ):
        refused = client.run(*words, code=1).stderr
        assert f"s3://{place}: AccessDenied" in refused
        assert "check the role's IAM policy and the bucket's policy" in refused
    assert client.json("snapshots", VAULT) == before


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
    ("backup", "writes a source", lambda s3, _: s3.put_object(Bucket=SOURCES, Key="given/new")),
    ("backup", "overwrites a source", lambda s3, _: s3.put_object(Bucket=VERSIONED, Key="given/a-b")),
    ("backup", "removes from a source", lambda s3, _: s3.delete_object(Bucket=SOURCES, Key="given/a-b")),
    (
        "backup",
        "tags a source",
        lambda s3, _: s3.put_object_tagging(Bucket=SOURCES, Key="given/a-b", Tagging={"TagSet": []}),
    ),
    ("backup", "reads a target", lambda s3, _: s3.get_object(Bucket=TARGETS, Key="whole/a-b")),
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
    (
        "maintenance",
        "writes a wrapped key",
        lambda s3, _: s3.put_object(Bucket=REPOSITORY, Key=f"{VAULT}/keys/x", IfNoneMatch="*"),
    ),
    *(
        (
            role,
            "locks what a job works with",
            lambda s3, _: s3.put_object_retention(
                Bucket=REPOSITORY,
                Key=f"{VAULT}/jobs/x/y",
                Retention={"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(hours=1)},
            ),
        )
        for role in ("backup", "maintenance")
    ),
    (
        "backup",
        "lists versions",
        lambda s3, _: s3.list_object_versions(Bucket=REPOSITORY, Prefix=f"{VAULT}/snapshots/"),
    ),
    ("maintenance", "reads a source", lambda s3, _: s3.get_object(Bucket=SOURCES, Key="given/a-b")),
    ("restore", "reads parcels", lambda s3, _: s3.list_objects_v2(Bucket=PARCELS, Prefix="parcels/")),
    ("client", "reads a source", lambda s3, _: s3.get_object(Bucket=SOURCES, Key="given/a-b")),
    ("client", "removes from a target", lambda s3, _: s3.delete_object(Bucket=TARGETS, Key="whole/a-b")),
    ("client", "reads a pack", lambda s3, pack: s3.get_object(Bucket=REPOSITORY, Key=pack)),
    ("client", "lists", lambda s3, _: s3.list_objects_v2(Bucket=REPOSITORY, Prefix=f"{VAULT}/")),
    ("scheduler", "reads a pack", lambda s3, pack: s3.get_object(Bucket=REPOSITORY, Key=pack)),
    ("scheduler", "lists", lambda s3, _: s3.list_objects_v2(Bucket=REPOSITORY, Prefix=f"{VAULT}/")),
    ("key-broker", "reads a pack", lambda s3, pack: s3.get_object(Bucket=REPOSITORY, Key=pack)),
]


MAY: list[tuple[str, str, S3Call]] = [
    ("backup", "lists", lambda s3, _: s3.list_objects_v2(Bucket=REPOSITORY, Prefix=f"{VAULT}/")),
    ("backup", "writes", lambda s3, _: s3.put_object(Bucket=REPOSITORY, Key=f"{VAULT}/jobs/x/y")),
    ("backup", "reads a source", lambda s3, _: s3.get_object(Bucket=SOURCES, Key="given/a-b")),
    ("restore", "reads a pack", lambda s3, pack: s3.get_object(Bucket=REPOSITORY, Key=pack)),
    ("restore", "delivers", lambda s3, _: s3.put_object(Bucket=PARCELS, Key="parcels/x/y")),
    ("maintenance", "removes", lambda s3, _: s3.delete_object(Bucket=REPOSITORY, Key=f"{VAULT}/jobs/x/y")),
    (
        "maintenance",
        "lists versions",
        lambda s3, _: s3.list_object_versions(Bucket=REPOSITORY, Prefix=f"{VAULT}/snapshots/"),
    ),
    (
        "maintenance",
        "locks",
        lambda s3, pack: s3.put_object_retention(
            Bucket=REPOSITORY,
            Key=pack,
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=1)},
        ),
    ),
    ("client", "lists", lambda s3, _: s3.list_objects_v2(Bucket=PARCELS, Prefix="parcels/")),
    ("client", "removes", lambda s3, _: s3.delete_object(Bucket=PARCELS, Key="parcels/x/y")),
    ("client", "writes a target", lambda s3, _: s3.put_object(Bucket=TARGETS, Key="more/a")),
]


def test_what_a_role_may_goes_through_in_the_same_words(world: World, s3: S3Server):
    """The control of the refusals below: keys are good, and no kind of request is refused to everybody."""
    pack = s3.client("backup").list_objects_v2(Bucket=REPOSITORY, Prefix=f"{VAULT}/packs/")["Contents"][0]
    for role, what, call in MAY:
        answer = call(s3.client(role), pack["Key"])
        assert answer["ResponseMetadata"]["HTTPStatusCode"] < 300, (role, what)


@pytest.mark.parametrize(
    ("role", "what", "call"), MUST_NOT, ids=lambda each: each if isinstance(each, str) else ""
)
def test_the_store_refuses_what_a_role_must_not_do(
    world: World, s3: S3Server, role: str, what: str, call: S3Call
):
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
    assert unsaid("repository-bucket", COMPOSE) == ["OnlyNewObjects", "OnlyKnownLocks", "OnlyBoundedLocks"]
    assert unsaid("delivery-bucket", NAMES) == []
