"""What each role is seen to try, and the world in which it tries. Written from the promises, not from the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from deploy.iam.generate import policy
from deploy.iam.names import Names
from deploy.iam.table import DOCUMENTS
from tests.aws.policy import Ask, Caller, Policy, Values, allowed

SERVICE, CUSTOMER, OTHER, STRANGER = "111122223333", "444455556666", "777788889999", "999900001111"
TENANT_A, TENANT_B = "a" * 32, "b" * 32
KEY_A = f"arn:aws:kms:eu-central-1:{CUSTOMER}:key/11111111-2222-3333-4444-555555555555"
OLD_A = f"arn:aws:kms:eu-central-1:{CUSTOMER}:key/66666666-7777-8888-9999-aaaaaaaaaaaa"
KEY_B = f"arn:aws:kms:eu-central-1:{OTHER}:key/bbbbbbbb-2222-3333-4444-555555555555"
THEIRS = f"arn:aws:kms:eu-central-1:{STRANGER}:key/cccccccc-2222-3333-4444-555555555555"
BUCKET_KEY = f"arn:aws:kms:eu-central-1:{CUSTOMER}:key/dddddddd-2222-3333-4444-555555555555"
NAMES = Names(
    service_account=SERVICE,
    customer_account=CUSTOMER,
    tenant=TENANT_A,
    cmk_arns=(KEY_A, KEY_B),
    old_cmk_arns=(OLD_A,),
    bucket_key_arns=(BUCKET_KEY,),
    repository_bucket="repo",
    repository_prefix="r/",
    delivery_bucket="drop",
    delivery_prefix="d/",
    source_buckets=("source",),
    target_buckets=("target",),
    vpc_endpoints=("vpce-1",),
    external_id="sr",
)
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
OPEN = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}],
}
DELEGATED = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "*",
            "Resource": "*",
            "Principal": {"AWS": f"arn:aws:iam::{SERVICE}:root"},
        }
    ],
}
"""The resource leaves it to the service's account: its roles' own policies decide."""
ROLES = (
    "key-broker",
    "key-broker-tenant",
    "rewrap",
    "rewrap-tenant",
    "backup",
    "restore",
    "maintenance",
    "scheduler",
    "client",
)


@dataclass(frozen=True)
class Attempt:
    """One thing to try.

    Attributes:
        name: in words.
        action, resource, context: what AWS is asked.
    """

    name: str
    action: str
    resource: str
    context: Mapping[str, Values]


@dataclass(frozen=True)
class Setting:
    """How the world differs from the one that is delivered.

    Attributes:
        same_account: whether the customer runs Strongroom in the own account.
        attached: whether somebody attached a policy that allows everything to every role.
        opened: the documents on resources that are replaced.
        by: what they are replaced with.
    """

    same_account: bool = False
    attached: bool = False
    opened: frozenset[str] = frozenset()
    by: Mapping[str, Any] = field(default_factory=lambda: OPEN)


def sealed(tenant: str = TENANT_A, **changes: str | None) -> dict[str, Values]:
    """The condition keys of a call with an encryption context, through the customer's VPC endpoint."""
    context: dict[str, str | None] = {
        "service": "strongroom",
        "tenant": tenant,
        "vault": "c" * 32,
        "purpose": "dek",
        "epoch": "1",
        "version": "1",
    }
    pairs = {name: value for name, value in (context | changes).items() if value is not None}
    keys: dict[str, Values] = {f"kms:encryptioncontext:{name}": (value,) for name, value in pairs.items()}
    return keys | {"kms:encryptioncontextkeys": tuple(pairs), "aws:sourcevpce": ("vpce-1",)}


_VPC: dict[str, Values] = {"aws:sourcevpce": ("vpce-1",)}
_NEW: dict[str, Values] = {"s3:if-none-match": ("*",), "s3:objectcreationoperation": ("true",)}
_PART: dict[str, Values] = {"s3:objectcreationoperation": ("false",)}
_OVER: dict[str, Values] = {"s3:objectcreationoperation": ("true",)}
_VIA_S3: dict[str, Values] = {"kms:viaservice": ("s3.eu-central-1.amazonaws.com",)}
_HTTP: dict[str, Values] = {"aws:securetransport": ("false",)}
_SESSION: dict[str, Values] = {
    "aws:requesttag/tenant": (TENANT_A,),
    "aws:tagkeys": ("tenant",),
    "sts:externalid": ("sr",),
}


def _lock(mode: str = "GOVERNANCE", days: int = 30) -> dict[str, Values]:
    """The condition keys of a lock."""
    return {"s3:object-lock-mode": (mode,), "s3:object-lock-remaining-retention-days": (str(days),)}


def _role(name: str) -> str:
    return f"arn:aws:iam::{SERVICE}:role/strongroom-{name}"


def _without(keys: Mapping[str, Values], name: str) -> dict[str, Values]:
    return {key: value for key, value in keys.items() if key != name}


def _attempts() -> tuple[Attempt, ...]:
    made: list[tuple[str, str, str, Mapping[str, Values]]] = [
        ("make a data key", "kms:GenerateDataKey", KEY_A, sealed()),
        ("unwrap a data key", "kms:Decrypt", KEY_A, sealed()),
        ("see the CMK", "kms:DescribeKey", KEY_A, _VPC),
        ("make a data key for another tenant", "kms:GenerateDataKey", KEY_A, sealed(TENANT_B)),
        ("unwrap another tenant's data key", "kms:Decrypt", KEY_A, sealed(TENANT_B)),
        ("use another tenant's CMK", "kms:Decrypt", KEY_B, sealed(TENANT_B)),
        ("use another tenant's CMK in one's own name", "kms:Decrypt", KEY_B, sealed()),
        ("unwrap without a vault", "kms:Decrypt", KEY_A, sealed(vault=None)),
        ("unwrap without any context", "kms:Decrypt", KEY_A, _VPC),
        ("unwrap what is another service's", "kms:Decrypt", KEY_A, sealed(service="other")),
        ("unwrap with more context", "kms:Decrypt", KEY_A, sealed(other="1")),
        ("unwrap around the endpoint", "kms:Decrypt", KEY_A, _without(sealed(), "aws:sourcevpce")),
        ("see the CMK around the endpoint", "kms:DescribeKey", KEY_A, {}),
        ("re-encrypt around the endpoint", "kms:ReEncryptTo", KEY_A, _without(sealed(), "aws:sourcevpce")),
        ("unwrap under a CMK that is none of ours", "kms:Decrypt", THEIRS, sealed()),
        ("re-encrypt from the old CMK", "kms:ReEncryptFrom", OLD_A, sealed()),
        ("re-encrypt to the new CMK", "kms:ReEncryptTo", KEY_A, sealed()),
        ("re-encrypt from the new CMK", "kms:ReEncryptFrom", KEY_A, sealed()),
        ("re-encrypt for another tenant", "kms:ReEncryptTo", KEY_A, sealed(TENANT_B)),
        ("re-encrypt another tenant's from the old CMK", "kms:ReEncryptFrom", OLD_A, sealed(TENANT_B)),
        *(
            (f"{action} with {what}", f"kms:{action}", arn, sealed(**changes))
            for action, arn in (("ReEncryptFrom", OLD_A), ("ReEncryptTo", KEY_A))
            for what, changes in (
                ("another service", {"service": "other"}),
                ("more context", {"other": "1"}),
                ("no vault", {"vault": None}),
            )
        ),
        ("re-encrypt to a CMK of one's own", "kms:ReEncryptTo", THEIRS, sealed()),
        ("encrypt", "kms:Encrypt", KEY_A, sealed()),
        ("give a grant", "kms:CreateGrant", KEY_A, _VPC),
        ("change the key policy", "kms:PutKeyPolicy", KEY_A, _VPC),
        ("disable the CMK", "kms:DisableKey", KEY_A, _VPC),
        ("delete the CMK", "kms:ScheduleKeyDeletion", KEY_A, _VPC),
        ("open the bucket's own key through S3", "kms:Decrypt", BUCKET_KEY, _VIA_S3),
        ("make the bucket's own key through S3", "kms:GenerateDataKey", BUCKET_KEY, _VIA_S3),
        ("open the bucket's own key directly", "kms:Decrypt", BUCKET_KEY, {}),
        ("list the repository", "s3:ListBucket", "arn:aws:s3:::repo", {"s3:prefix": ("r/packs/",)}),
        (
            "list the repository's versions",
            "s3:ListBucketVersions",
            "arn:aws:s3:::repo",
            {"s3:prefix": ("r/snapshots/",)},
        ),
        (
            "list versions beside the repository",
            "s3:ListBucketVersions",
            "arn:aws:s3:::repo",
            {"s3:prefix": ("x/",)},
        ),
        ("list what is beside the repository", "s3:ListBucket", "arn:aws:s3:::repo", {"s3:prefix": ("x/",)}),
        (
            "list what is beside the delivery area",
            "s3:ListBucket",
            "arn:aws:s3:::drop",
            {"s3:prefix": ("x/",)},
        ),
        ("list the delivery area", "s3:ListBucket", "arn:aws:s3:::drop", {"s3:prefix": ("d/",)}),
        ("read the configuration", "s3:GetObject", "arn:aws:s3:::repo/r/config", {}),
        ("read a wrapped key", "s3:GetObject", "arn:aws:s3:::repo/r/keys/dek-00000001", {}),
        ("read a pack", "s3:GetObject", "arn:aws:s3:::repo/r/packs/aa/bb", {}),
        ("read a pack in clear over the network", "s3:GetObject", "arn:aws:s3:::repo/r/packs/aa/bb", _HTTP),
        ("read what is beside the repository", "s3:GetObject", "arn:aws:s3:::repo/x", {}),
        ("write a new pack", "s3:PutObject", "arn:aws:s3:::repo/r/packs/aa/bb", _NEW),
        ("write a new plan", "s3:PutObject", "arn:aws:s3:::repo/r/jobs/aa/plan", _NEW),
        ("write a part of a pack", "s3:PutObject", "arn:aws:s3:::repo/r/packs/aa/bb", _PART),
        ("write over a snapshot", "s3:PutObject", "arn:aws:s3:::repo/r/snapshots/aa", _OVER),
        ("write beside the repository", "s3:PutObject", "arn:aws:s3:::repo/x", _NEW),
        ("write into a strange bucket", "s3:PutObject", "arn:aws:s3:::strange/x", _NEW),
        ("write a locked pack", "s3:PutObject", "arn:aws:s3:::repo/r/packs/aa/bb", _NEW | _lock()),
        (
            "write a pack that its owner cannot unlock",
            "s3:PutObject",
            "arn:aws:s3:::repo/r/packs/aa/bb",
            _NEW | _lock("COMPLIANCE"),
        ),
        (
            "write a pack locked for a century",
            "s3:PutObject",
            "arn:aws:s3:::repo/r/packs/aa/bb",
            _NEW | _lock(days=36_525),
        ),
        ("lock a pack", "s3:PutObjectRetention", "arn:aws:s3:::repo/r/packs/aa/bb", _lock()),
        (
            "lock a pack so that its owner cannot unlock it",
            "s3:PutObjectRetention",
            "arn:aws:s3:::repo/r/packs/aa/bb",
            _lock("COMPLIANCE"),
        ),
        (
            "lock a pack for a century",
            "s3:PutObjectRetention",
            "arn:aws:s3:::repo/r/packs/aa/bb",
            _lock(days=36_525),
        ),
        ("lock a plan", "s3:PutObjectRetention", "arn:aws:s3:::repo/r/jobs/aa/plan", _lock()),
        ("see a pack's lock", "s3:GetObjectRetention", "arn:aws:s3:::repo/r/packs/aa/bb", {}),
        ("see the bucket's lock", "s3:GetBucketObjectLockConfiguration", "arn:aws:s3:::repo", {}),
        ("give up an upload", "s3:AbortMultipartUpload", "arn:aws:s3:::repo/r/packs/aa/bb", {}),
        ("see unfinished uploads", "s3:ListBucketMultipartUploads", "arn:aws:s3:::repo", {}),
        ("remove a pack", "s3:DeleteObject", "arn:aws:s3:::repo/r/packs/aa/bb", {}),
        ("remove a plan", "s3:DeleteObject", "arn:aws:s3:::repo/r/jobs/aa/plan", {}),
        ("remove a wrapped key", "s3:DeleteObject", "arn:aws:s3:::repo/r/keys/dek-00000001", {}),
        ("remove the configuration", "s3:DeleteObject", "arn:aws:s3:::repo/r/config", {}),
        ("remove a version for good", "s3:DeleteObjectVersion", "arn:aws:s3:::repo/r/packs/aa/bb", {}),
        ("break a lock", "s3:BypassGovernanceRetention", "arn:aws:s3:::repo/r/packs/aa/bb", {}),
        ("change the bucket policy", "s3:PutBucketPolicy", "arn:aws:s3:::repo", {}),
        ("let everything expire", "s3:PutLifecycleConfiguration", "arn:aws:s3:::repo", {}),
        ("stop versions", "s3:PutBucketVersioning", "arn:aws:s3:::drop", {}),
        ("deliver a parcel", "s3:PutObject", "arn:aws:s3:::drop/d/j/0-0", _NEW),
        ("give up a delivery", "s3:AbortMultipartUpload", "arn:aws:s3:::drop/d/j/0-0", {}),
        ("take a parcel", "s3:GetObject", "arn:aws:s3:::drop/d/j/0-0", {}),
        ("take a parcel in clear over the network", "s3:GetObject", "arn:aws:s3:::drop/d/j/0-0", _HTTP),
        ("remove a parcel", "s3:DeleteObject", "arn:aws:s3:::drop/d/j/0-0", {}),
        ("read a source", "s3:GetObject", "arn:aws:s3:::source/x", {}),
        ("list a source", "s3:ListBucket", "arn:aws:s3:::source", {}),
        ("read a source's tags", "s3:GetObjectTagging", "arn:aws:s3:::source/x", {}),
        ("read the tags of a source's version", "s3:GetObjectVersionTagging", "arn:aws:s3:::source/x", {}),
        ("read what a source once was", "s3:GetObjectVersion", "arn:aws:s3:::source/x", {}),
        ("write a source", "s3:PutObject", "arn:aws:s3:::source/x", _NEW),
        ("tag a source", "s3:PutObjectTagging", "arn:aws:s3:::source/x", {}),
        ("remove from a source", "s3:DeleteObject", "arn:aws:s3:::source/x", {}),
        ("see what is in a target", "s3:ListBucket", "arn:aws:s3:::target", {}),
        ("read from a target", "s3:GetObject", "arn:aws:s3:::target/x", {}),
        ("restore an object", "s3:PutObject", "arn:aws:s3:::target/x", _NEW),
        ("restore its tags", "s3:PutObjectTagging", "arn:aws:s3:::target/x", {}),
        ("see the parts of an upload", "s3:ListMultipartUploadParts", "arn:aws:s3:::target/x", {}),
        ("give up restoring it", "s3:AbortMultipartUpload", "arn:aws:s3:::target/x", {}),
        ("remove from a target", "s3:DeleteObject", "arn:aws:s3:::target/x", {}),
        ("create a user", "iam:CreateUser", f"arn:aws:iam::{SERVICE}:user/x", {}),
        ("read another service", "dynamodb:GetItem", f"arn:aws:dynamodb:eu-central-1:{SERVICE}:table/x", {}),
    ]
    for target in ("key-broker-tenant", "rewrap-tenant"):
        for what, action in (("begin", "sts:AssumeRole"), ("tag", "sts:TagSession")):
            made += [
                (f"{what} a session of {target}", action, _role(target), _SESSION),
                (
                    f"{what} a session of {target} without a tenant",
                    action,
                    _role(target),
                    _without(_without(_SESSION, "aws:requesttag/tenant"), "aws:tagkeys"),
                ),
                (
                    f"{what} a session of {target} for no tenant's id",
                    action,
                    _role(target),
                    _SESSION | {"aws:requesttag/tenant": ("*",)},
                ),
                (
                    f"{what} a session of {target} with another tag",
                    action,
                    _role(target),
                    _SESSION | {"aws:tagkeys": ("tenant", "admin")},
                ),
            ]
        made.append(
            (
                f"begin a session of {target} without the external id",
                "sts:AssumeRole",
                _role(target),
                _without(_SESSION, "sts:externalid"),
            )
        )
    return tuple(Attempt(*each) for each in made)


ATTEMPTS = _attempts()


class World:
    """Callers and resources under a set of documents.

    Args:
        documents: by name; as delivered, or changed by a test.
        setting: how it differs from what is delivered.
    """

    def __init__(self, documents: Mapping[str, dict[str, Any]], setting: Setting) -> None:
        self._setting = setting
        self._owner = SERVICE if setting.same_account else CUSTOMER
        self._policies = {
            name: (Policy.identity if name in ROLES else Policy.resource)(
                setting.by if name in setting.opened else made
            )
            for name, made in documents.items()
        }
        theirs = setting.by
        if "customer-key" not in setting.opened:
            theirs = delivered(replace(NAMES, customer_account=OTHER, tenant=TENANT_B))["customer-key"]
        self._of_tenant_b = Policy.resource(theirs)

    def may(self, who: str, attempt: Attempt) -> bool:
        """Whether AWS lets it through."""
        resource, owner = self._resource(attempt)
        key = attempt.resource.startswith(("arn:aws:kms", "arn:aws:iam")) and ":role/" in attempt.resource
        needs_both = attempt.action.startswith("kms:") or key
        return allowed(
            self.caller(who),
            Ask(attempt.action, attempt.resource, attempt.context),
            resource,
            owner,
            needs_both=needs_both,
        )

    def caller(self, who: str) -> Caller:
        """A role's session ("...@b": tagged with the other tenant), or the administrator of the customer's account."""
        who, _, other = who.partition("@")
        if who == "customer":
            arn = f"arn:aws:iam::{self._owner}:user/admin"
            return Caller(self._owner, arn, arn, (Policy.identity(EVERYTHING),))
        policies = [self._policies[who]]
        if self._setting.attached:
            policies.append(Policy.identity(EVERYTHING))
        tags = {"tenant": TENANT_B if other else TENANT_A} if who.endswith("-tenant") else {}
        session = f"arn:aws:sts::{SERVICE}:assumed-role/strongroom-{who}/one"
        return Caller(SERVICE, _role(who), session, tuple(policies), tags)

    def _resource(self, attempt: Attempt) -> tuple[Policy | None, str]:
        """The policy on what is asked for, and whose it is."""
        where = attempt.resource
        if where in (KEY_A, OLD_A):
            return self._on("customer-key"), self._owner
        if where == KEY_B:
            return self._of_tenant_b, OTHER
        if where in (THEIRS, "arn:aws:s3:::strange/x"):
            # A thief's own opens to everybody.
            return Policy.resource(OPEN), STRANGER
        if where == BUCKET_KEY or where.startswith(("arn:aws:s3:::source", "arn:aws:s3:::target")):
            return Policy.resource(DELEGATED), self._owner
        if where.startswith("arn:aws:s3:::repo"):
            return self._on("repository-bucket"), self._owner
        if where.startswith("arn:aws:s3:::drop"):
            return self._on("delivery-bucket"), self._owner
        if where.startswith(f"arn:aws:iam::{SERVICE}:role/"):
            return self._on(where.rpartition("/strongroom-")[2] + "-trust"), SERVICE
        return None, SERVICE

    def _on(self, name: str) -> Policy:
        return self._policies[name]


def delivered(names: Names = NAMES) -> dict[str, dict[str, Any]]:
    """Every document as it is generated."""
    return {each.name: policy(each, names) for each in DOCUMENTS}
