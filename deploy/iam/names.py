"""What differs between installations."""

from __future__ import annotations

from dataclasses import dataclass


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
        lock_modes: of Object Lock, in which the repository's objects may be locked; nobody can undo COMPLIANCE.
        lock_days: that they may be locked for at most; one more than the longest `retention` of the vaults there.
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
    lock_modes: tuple[str, ...] = ("GOVERNANCE",)
    lock_days: str = "366"
    vpc_endpoints: tuple[str, ...] = ()
    external_id: str = "strongroom"
