"""What workers, scheduler and command may do in S3: each role's own policy.

None of them uses a CMK, deletes a version or changes a bucket, whatever else is attached to it.
"""

from __future__ import annotations

from typing import Final

from deploy.iam.statement import Statement

REPOSITORY: Final = "arn:<partition>:s3:::<repository_bucket>"
OBJECTS: Final = f"{REPOSITORY}/<repository_prefix>"
DELIVERY: Final = "arn:<partition>:s3:::<delivery_bucket>"
PARCELS: Final = f"{DELIVERY}/<delivery_prefix>*"

# Names of a repository's objects: repository/layout.py.
PRUNED: Final = tuple(f"{OBJECTS}{kind}/*" for kind in ("packs", "index", "snapshots", "prunes"))
"""What maintenance writes: packs whose used chunks it moves, what names them, what a prune remembers, and voids."""
GARBAGE: Final = tuple(
    f"{OBJECTS}{kind}/*" for kind in ("jobs", "packs", "index", "manifests", "snapshots", "prunes")
)
"""What maintenance may remove: never the configuration, never a wrapped key."""

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
    # What delete markers hide.
    Statement(
        "ListVersions",
        "Allow",
        ("s3:ListBucketVersions",),
        (REPOSITORY,),
        {"StringLike": {"s3:prefix": "<repository_prefix>*"}},
    ),
    READ_REPOSITORY,
    Statement("SeeRetention", "Allow", ("s3:GetObjectRetention",), (f"{OBJECTS}*",)),
    Statement("ExtendLocks", "Allow", ("s3:PutObjectRetention",), (f"{OBJECTS}*",)),
    Statement("WriteForPrunes", "Allow", ("s3:PutObject",), PRUNED),
    Statement("RemoveGarbage", "Allow", ("s3:DeleteObject",), GARBAGE),
    Statement("GiveUpDeadUploads", "Allow", ("s3:AbortMultipartUpload",), (f"{OBJECTS}*",)),
    Statement("SeeDeadUploads", "Allow", ("s3:ListBucketMultipartUploads",), (REPOSITORY,)),
    BUCKET_KEY,
    Statement("WriteNothingElse", "Deny", ("s3:PutObject",), PRUNED, but="resources"),
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
