"""Who may do what in AWS: the one table from which every policy file here is generated.

A `<name>` stands for a field of `Names`. A field that is a list stands alone as a whole value, and a statement whose
`needs` names an empty field is left out. `${...}` are IAM's own policy variables.

The rules behind the rows, in short: only the key-broker's tenant role can use a CMK, only with the encryption context
of the tenant that its session is tagged with; nobody who can read a repository can use a CMK; nobody but maintenance
can delete; no object is ever written twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

CONTEXT_KEYS: Final = ("service", "tenant", "vault", "purpose", "epoch", "version")
"""The encryption context of every wrapped key: `crypto.keyrecord.encryption_context`."""

Conditions = Mapping[str, Mapping[str, str | tuple[str, ...]]]


@dataclass(frozen=True)
class Names:
    """What differs between installations. The defaults are the examples that the committed files show.

    Attributes:
        service_account: runs Strongroom's roles.
        customer_account: owns CMK and buckets; may be the same.
        tenant: id of the tenant, 32 hex digits, as `strongroom vault list --json` shows it.
        cmk_arns: CMKs that vaults use.
        old_cmk_arns: CMKs that re-encryption moves away from.
        bucket_key_arns: keys of SSE-KMS on the buckets, if they have it; never one of the CMKs.
        repository_prefix, delivery_prefix: end with a slash, or are empty.
        source_buckets: that backup workers read as a source.
        target_buckets: that the command may restore objects to.
        vpc_endpoints: of KMS; when given, the CMK is used through no other.
        external_id: what the key-broker says when it assumes a role; no secret.
    """

    partition: str = "aws"
    service_account: str = "111122223333"
    customer_account: str = "444455556666"
    role_prefix: str = "strongroom-"
    tenant: str = "00112233445566778899aabbccddeeff"
    cmk_arns: tuple[str, ...] = (
        "arn:aws:kms:eu-central-1:444455556666:key/11111111-2222-3333-4444-555555555555",
    )
    old_cmk_arns: tuple[str, ...] = (
        "arn:aws:kms:eu-central-1:444455556666:key/66666666-7777-8888-9999-aaaaaaaaaaaa",
    )
    bucket_key_arns: tuple[str, ...] = ()
    repository_bucket: str = "example-repository"
    repository_prefix: str = "strongroom/"
    delivery_bucket: str = "example-delivery"
    delivery_prefix: str = "parcels/"
    source_buckets: tuple[str, ...] = ()
    target_buckets: tuple[str, ...] = ()
    vpc_endpoints: tuple[str, ...] = ()
    external_id: str = "strongroom"


@dataclass(frozen=True)
class Statement:
    """One row.

    Attributes:
        principals: of a policy on a resource; empty in a role's own.
        but: the actions or resources that a Deny does not concern (NotAction, NotResource).
        needs: the list field without which the row is left out.
    """

    sid: str
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] | str = ("*",)
    conditions: Conditions = field(default_factory=dict)
    principals: tuple[str, ...] | str = ()
    but: str = ""
    needs: str = ""


@dataclass(frozen=True)
class Document:
    """One policy file.

    Attributes:
        name: of the file.
        what: for whom, in words.
        account: "service" or "customer": where it is put.
        kind: "role" (a role's own policy), "trust" (who may assume a role), "key" or "bucket".
    """

    name: str
    what: str
    account: str
    kind: str
    statements: tuple[Statement, ...]


def role(name: str) -> str:
    """The ARN of one of the service's roles."""
    return f"arn:<partition>:iam::<service_account>:role/<role_prefix>{name}"


REPOSITORY: Final = "arn:<partition>:s3:::<repository_bucket>"
OBJECTS: Final = f"{REPOSITORY}/<repository_prefix>"
DELIVERY: Final = "arn:<partition>:s3:::<delivery_bucket>"
PARCELS: Final = f"{DELIVERY}/<delivery_prefix>*"

# Names of a repository's objects: repository/layout.py.
GARBAGE: Final = tuple(
    f"{OBJECTS}{kind}/*" for kind in ("jobs", "packs", "index", "manifests", "snapshots", "prunes")
)
"""What maintenance may remove: never the configuration, never a wrapped key."""

OWN_CONTEXT: Final[Conditions] = {
    "StringEquals": {
        "kms:EncryptionContext:service": "strongroom",
        "kms:EncryptionContext:tenant": "${aws:PrincipalTag/tenant}",
    },
    # ForAllValues holds for no values at all, hence the Null beside it.
    "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": CONTEXT_KEYS},
    "Null": {"kms:EncryptionContext:vault": "false"},
}
"""In the service's account: the tenant of the context is the one that the session is tagged with."""

THE_TENANTS_CONTEXT: Final[Conditions] = {
    "StringEquals": {
        "aws:PrincipalTag/tenant": "<tenant>",
        "kms:EncryptionContext:service": "strongroom",
        "kms:EncryptionContext:tenant": "<tenant>",
    },
    "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": CONTEXT_KEYS},
    "Null": {"kms:EncryptionContext:vault": "false"},
}
"""In the customer's account: both are this customer's."""

TAGGED: Final[Conditions] = {
    "StringLike": {"aws:RequestTag/tenant": "?" * 32},
    "ForAllValues:StringEquals": {"aws:TagKeys": ("tenant",)},
}

# Through S3, which opens and seals its own objects with a bucket's key; never directly.
NO_KMS: Final = Statement(
    "NeverKms",
    "Deny",
    ("kms:*",),
    conditions={"StringNotLike": {"kms:ViaService": "s3.*.amazonaws.com"}},
)
NO_ROLES: Final = Statement("NeverOtherRoles", "Deny", ("iam:*", "sts:AssumeRole", "sts:TagSession"))
NO_DELETE: Final = Statement("NeverDelete", "Deny", ("s3:DeleteObject", "s3:DeleteObjectVersion"))
BUCKET_SETTINGS: Final = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketAcl",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutLifecycleConfiguration",
    "s3:PutObjectAcl",
    "s3:PutObjectLegalHold",
    "s3:PutReplicationConfiguration",
)
NO_SETTINGS: Final = Statement("NeverBucketSettings", "Deny", BUCKET_SETTINGS)
BUCKET_KEY: Final = Statement(
    "UseBucketKey",
    "Allow",
    ("kms:Decrypt", "kms:GenerateDataKey"),
    "<bucket_key_arns>",
    needs="bucket_key_arns",
)
"""SSE-KMS of the buckets. `NO_KMS` stands beside it in every role, so it works through S3 only."""
LIST_REPOSITORY: Final = Statement(
    "ListRepository",
    "Allow",
    ("s3:ListBucket",),
    (REPOSITORY,),
    {"StringLike": {"s3:prefix": "<repository_prefix>*"}},
)
READ_REPOSITORY: Final = Statement("ReadRepository", "Allow", ("s3:GetObject",), (f"{OBJECTS}*",))
WRITE_REPOSITORY: Final = Statement(
    "WriteRepository",
    "Allow",
    ("s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectRetention"),
    (f"{OBJECTS}*",),
)
SEE_LOCK: Final = Statement("SeeLock", "Allow", ("s3:GetBucketObjectLockConfiguration",), (REPOSITORY,))


def _session(target: str) -> Statement:
    return Statement("BeginSessions", "Allow", ("sts:AssumeRole", "sts:TagSession"), (role(target),), TAGGED)


def _trust(holder: str) -> tuple[Statement, ...]:
    """Only with the tenant's tag, and with the external id."""
    begin = Statement(
        "BeginSessions",
        "Allow",
        ("sts:AssumeRole",),
        (),
        {**TAGGED, "StringEquals": {"sts:ExternalId": "<external_id>"}},
        principals=(role(holder),),
    )
    tag = Statement("TagSessions", "Allow", ("sts:TagSession",), (), TAGGED, principals=(role(holder),))
    return begin, tag


def _only(*actions: str) -> Statement:
    """A ceiling: whatever else is attached to the role, it does nothing but this."""
    return Statement("NothingElse", "Deny", actions, but="actions")


KEY_BROKER: Final = (
    _session("key-broker-tenant"),
    Statement("NeverDirectly", "Deny", ("iam:*", "kms:*", "s3:*")),
)
KEY_BROKER_TENANT: Final = (
    Statement("UseKeys", "Allow", ("kms:Decrypt", "kms:GenerateDataKey"), "<cmk_arns>", OWN_CONTEXT),
    Statement("SeeKeys", "Allow", ("kms:DescribeKey",), "<cmk_arns>"),
    _only("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"),
)
REWRAP: Final = (
    _session("rewrap-tenant"),
    Statement("NeverDirectly", "Deny", ("iam:*", "kms:*", "s3:*")),
)
REWRAP_TENANT: Final = (
    Statement("TakeFromOldKeys", "Allow", ("kms:ReEncryptFrom",), "<old_cmk_arns>", OWN_CONTEXT),
    Statement("MoveWithinKeys", "Allow", ("kms:ReEncryptFrom", "kms:ReEncryptTo"), "<cmk_arns>", OWN_CONTEXT),
    Statement("SeeKeys", "Allow", ("kms:DescribeKey",), "<cmk_arns>"),
    # Who could re-encrypt to a key of their own would hold every DEK.
    Statement("NeverElsewhere", "Deny", ("kms:ReEncryptTo",), "<cmk_arns>", but="resources"),
    _only("kms:DescribeKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
)
BACKUP: Final = (
    LIST_REPOSITORY,
    READ_REPOSITORY,
    WRITE_REPOSITORY,
    SEE_LOCK,
    Statement(
        "ReadSources",
        "Allow",
        (
            "s3:GetObject",
            "s3:GetObjectTagging",
            "s3:GetObjectVersionTagging",
            "s3:ListBucket",
        ),
        "<source_arns>",
        needs="source_buckets",
    ),
    BUCKET_KEY,
    Statement("WriteNowhereElse", "Deny", ("s3:PutObject",), (f"{OBJECTS}*",), but="resources"),
    NO_DELETE,
    NO_SETTINGS,
    NO_KMS,
    NO_ROLES,
)
RESTORE: Final = (
    LIST_REPOSITORY,
    READ_REPOSITORY,
    Statement("Deliver", "Allow", ("s3:AbortMultipartUpload", "s3:PutObject"), (PARCELS,)),
    BUCKET_KEY,
    Statement(
        "WriteNowhereElse", "Deny", ("s3:PutObject", "s3:PutObjectRetention"), (PARCELS,), but="resources"
    ),
    NO_DELETE,
    NO_SETTINGS,
    NO_KMS,
    NO_ROLES,
)
MAINTENANCE: Final = (
    LIST_REPOSITORY,
    READ_REPOSITORY,
    WRITE_REPOSITORY,
    SEE_LOCK,
    Statement("SeeRetention", "Allow", ("s3:GetObjectRetention",), (f"{OBJECTS}*",)),
    Statement("SweepUploads", "Allow", ("s3:ListBucketMultipartUploads",), (REPOSITORY,)),
    Statement("RemoveGarbage", "Allow", ("s3:DeleteObject",), GARBAGE),
    BUCKET_KEY,
    Statement("RemoveNothingElse", "Deny", ("s3:DeleteObject",), GARBAGE, but="resources"),
    Statement("NeverVersions", "Deny", ("s3:DeleteObjectVersion",)),
    NO_SETTINGS,
    NO_KMS,
    NO_ROLES,
)
SCHEDULER: Final = (
    Statement("Nothing", "Deny", ("iam:*", "kms:*", "s3:*", "sts:AssumeRole", "sts:TagSession")),
)
CLIENT: Final = (
    Statement("TakeParcels", "Allow", ("s3:DeleteObject", "s3:GetObject"), (PARCELS,)),
    Statement(
        "ListParcels",
        "Allow",
        ("s3:ListBucket",),
        (DELIVERY,),
        {"StringLike": {"s3:prefix": "<delivery_prefix>*"}},
    ),
    # The clear header of a repository that is attached.
    Statement("ReadHeader", "Allow", ("s3:GetObject",), (f"{OBJECTS}config",)),
    Statement(
        "RestoreObjects",
        "Allow",
        (
            "s3:AbortMultipartUpload",
            "s3:GetObject",
            "s3:ListBucket",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
            "s3:PutObjectTagging",
        ),
        "<target_arns>",
        needs="target_buckets",
    ),
    BUCKET_KEY,
    NO_SETTINGS,
    NO_KMS,
    NO_ROLES,
)

CUSTOMER_KEY: Final = (
    # Administration, and the off switch: the customer's own account.
    Statement(
        "OwnerAdministers",
        "Allow",
        ("kms:*",),
        principals=("arn:<partition>:iam::<customer_account>:root",),
    ),
    Statement(
        "KeyBrokerUses",
        "Allow",
        ("kms:Decrypt", "kms:GenerateDataKey"),
        conditions=THE_TENANTS_CONTEXT,
        principals=(role("key-broker-tenant"),),
    ),
    Statement(
        "RewrapMoves",
        "Allow",
        ("kms:ReEncryptFrom", "kms:ReEncryptTo"),
        conditions=THE_TENANTS_CONTEXT,
        principals=(role("rewrap-tenant"),),
    ),
    Statement(
        "BothSee",
        "Allow",
        ("kms:DescribeKey",),
        conditions={"StringEquals": {"aws:PrincipalTag/tenant": "<tenant>"}},
        principals=(role("key-broker-tenant"), role("rewrap-tenant")),
    ),
    Statement(
        "OnlyThroughEndpoint",
        "Deny",
        ("kms:*",),
        conditions={"StringNotEquals": {"aws:SourceVpce": "<vpc_endpoints>"}},
        principals=(role("key-broker-tenant"), role("rewrap-tenant")),
        needs="vpc_endpoints",
    ),
)

ANYBODY: Final = "*"


def _tls(bucket: str) -> Statement:
    return Statement(
        "OnlyTls",
        "Deny",
        ("s3:*",),
        (bucket, f"{bucket}/*"),
        {"Bool": {"aws:SecureTransport": "false"}},
        principals=ANYBODY,
    )


def _given(name: str, statements: tuple[Statement, ...], bucket: str) -> tuple[Statement, ...]:
    """What a role's own policy allows it in a bucket, said by the bucket too: without it an account apart gets none."""
    return tuple(
        Statement(
            f"{name}{each.sid}",
            each.effect,
            each.actions,
            each.resources,
            each.conditions,
            (role(name.lower()),),
        )
        for each in statements
        if each.effect == "Allow"
        and not isinstance(each.resources, str)
        and each.resources[0].startswith(bucket)
    )


REPOSITORY_BUCKET: Final = (
    _tls(REPOSITORY),
    Statement(
        "OnlyNewObjects",
        "Deny",
        ("s3:PutObject",),
        (f"{OBJECTS}*",),
        # A conditional write cannot replace anything. The parts of an upload carry no condition, its completion does.
        {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
        principals=ANYBODY,
    ),
    Statement(
        "OnlyWorkersWrite",
        "Deny",
        ("s3:PutObject",),
        (f"{OBJECTS}*",),
        {"StringNotEquals": {"aws:PrincipalArn": (role("backup"), role("maintenance"))}},
        principals=ANYBODY,
    ),
    Statement(
        "OnlyMaintenanceRemoves",
        "Deny",
        ("s3:DeleteObject", "s3:DeleteObjectVersion"),
        (f"{OBJECTS}*",),
        {"StringNotEquals": {"aws:PrincipalArn": (role("maintenance"),)}},
        principals=ANYBODY,
    ),
    *_given("Backup", BACKUP, REPOSITORY),
    *_given("Restore", RESTORE, REPOSITORY),
    *_given("Maintenance", MAINTENANCE, REPOSITORY),
    *_given("Client", CLIENT, REPOSITORY),
)
DELIVERY_BUCKET: Final = (
    _tls(DELIVERY),
    Statement(
        "OnlyRestoreDelivers",
        "Deny",
        ("s3:PutObject",),
        (PARCELS,),
        {"StringNotEquals": {"aws:PrincipalArn": (role("restore"),)}},
        principals=ANYBODY,
    ),
    *_given("Restore", RESTORE, DELIVERY),
    *_given("Client", CLIENT, DELIVERY),
)

DOCUMENTS: Final = (
    Document("key-broker", "the key-broker itself: begins tenants' sessions", "service", "role", KEY_BROKER),
    Document("key-broker-tenant", "a tenant's session: uses CMKs", "service", "role", KEY_BROKER_TENANT),
    Document("rewrap", "whoever moves vaults to another CMK: begins sessions", "service", "role", REWRAP),
    Document(
        "rewrap-tenant", "a tenant's session: re-encrypts wrapped keys", "service", "role", REWRAP_TENANT
    ),
    Document("backup", "backup workers", "service", "role", BACKUP),
    Document("restore", "restore workers", "service", "role", RESTORE),
    Document("maintenance", "maintenance workers", "service", "role", MAINTENANCE),
    Document("scheduler", "the scheduler: nothing in AWS", "service", "role", SCHEDULER),
    Document("client", "the command, where parcels are delivered through S3", "service", "role", CLIENT),
    Document("key-broker-tenant-trust", "who begins the sessions", "service", "trust", _trust("key-broker")),
    Document("rewrap-tenant-trust", "who begins the sessions", "service", "trust", _trust("rewrap")),
    Document("customer-key", "the CMK", "customer", "key", CUSTOMER_KEY),
    Document("repository-bucket", "the repository's bucket", "customer", "bucket", REPOSITORY_BUCKET),
    Document("delivery-bucket", "the delivery area's bucket", "customer", "bucket", DELIVERY_BUCKET),
)
