"""What differs between installations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

REQUIRED: Final = (
    "service_account",
    "customer_account",
    "tenant",
    "cmk_arns",
    "repository_bucket",
    "delivery_bucket",
)
"""What a file of one's own names has to give: the example's would let strangers in."""
ACCOUNT: Final = r"[0-9]{12}"
TENANT: Final = r"[0-9a-f]{32}"
PREFIX: Final = r"([^/].*/)?"
CMK_ARN: Final = r"arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+"


@dataclass(frozen=True)
class Names:
    """What differs between installations. The defaults are the examples that the committed files show.

    Attributes:
        service_account: runs Strongroom's roles.
        customer_account: owns CMK and buckets; may be the same.
        tenant: id of the tenant, 32 hex digits, as `strongroom registry export FILE --json` shows it.
        cmk_arns: CMKs that vaults use; empty before there is one.
        old_cmk_arns: CMKs that re-encryption moves away from; empty: only between the others.
        bucket_key_arns: keys of SSE-KMS on the buckets, if they have it; never one of the CMKs.
        repository_prefix, delivery_prefix: end with a slash, or are empty.
        source_buckets: that backup workers read as a source.
        target_buckets: that the command may restore objects to.
        lock_modes: of Object Lock, in which the repository's objects may be locked; nobody can undo COMPLIANCE.
        lock_days: that they may be locked for at most; one more than the longest `retention` of the vaults there.
        vpc_endpoints: of KMS; when given, the CMK is used through no other.
        external_id: what the key-broker says when it assumes a role; no secret.

    Raises:
        ValueError: an account, tenant, prefix or CMK that is none.
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
    lock_modes: tuple[str, ...] = ("GOVERNANCE",)
    lock_days: str = "366"
    vpc_endpoints: tuple[str, ...] = ()
    external_id: str = "strongroom"

    def __post_init__(self) -> None:
        for field, pattern, values in (
            ("service_account", ACCOUNT, (self.service_account,)),
            ("customer_account", ACCOUNT, (self.customer_account,)),
            ("tenant", TENANT, (self.tenant,)),
            ("repository_prefix", PREFIX, (self.repository_prefix,)),
            ("delivery_prefix", PREFIX, (self.delivery_prefix,)),
            ("cmk_arns", CMK_ARN, self.cmk_arns),
            ("old_cmk_arns", CMK_ARN, self.old_cmk_arns),
        ):
            for value in values:
                if not re.fullmatch(pattern, value):
                    raise ValueError(f"{field}: {value!r} is not of the form {pattern}")
