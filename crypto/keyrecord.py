"""The wrapped form of a vault key, as it is stored beside the data.

The blob opens only in the KMS, under the CMK that made it and with exactly the encryption context that this record
implies; altering the clear fields therefore makes it useless, not dangerous.
"""

import msgspec

from crypto.errors import HeaderMismatch

RECORD_VERSION = 1
SERVICE = "strongroom"
DEK = "dek"
CHUNK_ID = "chunk-id"
MAX_RECORD = 16 * 1024


class KeyRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One wrapped key. Purpose `dek` (epoch 1 and up) or `chunk-id` (epoch 0, one per vault)."""

    version: int
    tenant: bytes
    vault: bytes
    purpose: str
    epoch: int
    key_id: str
    """What the KMS calls the CMK that wrapped it."""
    material_id: str
    """Which key material of that CMK, where the KMS tells."""
    blob: bytes
    created_ms: int

    def require(self, tenant: bytes, vault: bytes, purpose: str, epoch: int) -> None:
        """Refuse a record that is not of this vault, purpose and epoch.

        Raises:
            HeaderMismatch: naming what differs.
        """
        if self.version != RECORD_VERSION:
            raise HeaderMismatch(
                f"key record version {self.version} is not known here", remedy="use a newer release"
            )
        if (self.tenant, self.vault) != (tenant, vault):
            raise HeaderMismatch(
                "the key record belongs to another vault",
                remedy="check which repository this vault is attached to",
            )
        if (self.purpose, self.epoch) != (purpose, epoch):
            raise HeaderMismatch(f"the key record is for {self.purpose} {self.epoch}, not {purpose} {epoch}")


def encryption_context(tenant: bytes, vault: bytes, purpose: str, epoch: int) -> dict[str, str]:
    """What the KMS binds a wrapped key to: opaque ids only, because a KMS writes it into its log in clear."""
    return {
        "service": SERVICE,
        "tenant": tenant.hex(),
        "vault": vault.hex(),
        "purpose": purpose,
        "epoch": str(epoch),
        "version": str(RECORD_VERSION),
    }
