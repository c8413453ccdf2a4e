"""Who may use a CMK: the roles of key-broker and rewrap process, their tenants' sessions, the customer's key policy.

Only a session that is tagged with a tenant uses a CMK, and only with that tenant in the encryption context. Both sides
say so: the role's own policy in the service's account, the key's in the customer's.
"""

from __future__ import annotations

from typing import Final

from deploy.iam.statement import Conditions, Statement, role

CONTEXT_KEYS: Final = ("service", "tenant", "vault", "purpose", "epoch", "version")
"""The encryption context of every wrapped key: `crypto.keyrecord.encryption_context`."""

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


SEE_KEYS: Final = Statement("SeeKeys", "Allow", ("kms:DescribeKey",), "<cmk_arns>", needs="cmk_arns")
KEY_BROKER: Final = (
    _session("key-broker-tenant"),
    Statement("NeverDirectly", "Deny", ("iam:*", "kms:*", "s3:*")),
)
KEY_BROKER_TENANT: Final = (
    # A CMK's policy names these roles, so they are there before the first CMK is: without one, nothing but the ceiling.
    Statement(
        "UseKeys",
        "Allow",
        ("kms:Decrypt", "kms:GenerateDataKey"),
        "<cmk_arns>",
        OWN_CONTEXT,
        needs="cmk_arns",
    ),
    SEE_KEYS,
    _only("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"),
)
# Nothing runs as these two yet: for `Gateway.reencrypt`, by which vaults will be moved to another CMK.
REWRAP: Final = (
    _session("rewrap-tenant"),
    Statement("NeverDirectly", "Deny", ("iam:*", "kms:*", "s3:*")),
)
REWRAP_TENANT: Final = (
    Statement(
        "TakeFromOldKeys",
        "Allow",
        ("kms:ReEncryptFrom",),
        "<old_cmk_arns>",
        OWN_CONTEXT,
        needs="old_cmk_arns",
    ),
    Statement(
        "MoveWithinKeys",
        "Allow",
        ("kms:ReEncryptFrom", "kms:ReEncryptTo"),
        "<cmk_arns>",
        OWN_CONTEXT,
        needs="cmk_arns",
    ),
    SEE_KEYS,
    # Who could re-encrypt to a key of their own would hold every DEK.
    Statement(
        "NeverElsewhere", "Deny", ("kms:ReEncryptTo",), "<cmk_arns>", but="resources", needs="cmk_arns"
    ),
    _only("kms:DescribeKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
)
KEY_BROKER_TENANT_TRUST: Final = _trust("key-broker")
REWRAP_TENANT_TRUST: Final = _trust("rewrap")

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
