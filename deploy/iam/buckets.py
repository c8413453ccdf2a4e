"""What the buckets themselves allow and refuse, whoever asks: the policies of the repository and the delivery area."""

from __future__ import annotations

from typing import Final

from deploy.iam.roles import (
    BACKUP,
    CLIENT,
    DELIVERY,
    MAINTENANCE,
    OBJECTS,
    PARCELS,
    REPOSITORY,
    RESTORE,
)
from deploy.iam.statement import ANYBODY, Statement, role


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
    # A stolen key must not fill the bucket with what nobody can remove for a century.
    Statement(
        "OnlyKnownLocks",
        "Deny",
        ("s3:PutObject", "s3:PutObjectRetention"),
        (f"{OBJECTS}*",),
        # Without the second test, whatever has no lock would have another mode.
        {
            "StringNotEquals": {"s3:object-lock-mode": "<lock_modes>"},
            "Null": {"s3:object-lock-mode": "false"},
        },
        principals=ANYBODY,
    ),
    Statement(
        "OnlyBoundedLocks",
        "Deny",
        ("s3:PutObject", "s3:PutObjectRetention"),
        (f"{OBJECTS}*",),
        {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "<lock_days>"}},
        principals=ANYBODY,
    ),
    Statement(
        "NoLocksOnWorking", "Deny", ("s3:PutObjectRetention",), (f"{OBJECTS}jobs/*",), principals=ANYBODY
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
