"""What is sealed for a vault is bound to its tenant and to the vault."""

import pytest

from crypto.errors import SealBroken
from crypto.header import Kind
from crypto.sealing import open_sealed, seal
from crypto.secret import SecretKey
from repository.access import VaultId

OURS = VaultId(b"T" * 16, b"V" * 16)


@pytest.mark.parametrize(
    "other",
    [
        VaultId(b"U" * 16, b"V" * 16),
        VaultId(b"T" * 16, b"W" * 16),
        VaultId(b"V" * 16, b"T" * 16),
    ],
)
def test_no_other_tenant_or_vault_opens_it(other: VaultId) -> None:
    header = OURS.header(Kind.PACK, 1, b"p" * 16)
    assert (header.tenant, header.vault) == (b"T" * 16, b"V" * 16)
    key = SecretKey.generate()
    sealed = seal(key, header.encode(), b"data")
    assert open_sealed(key, header.encode(), sealed) == b"data"
    with pytest.raises(SealBroken):
        open_sealed(key, other.header(Kind.PACK, 1, b"p" * 16).encode(), sealed)
