"""Which vault, and its keys: what every reader and writer of sealed objects is handed."""

from typing import NamedTuple, Protocol

from crypto.header import Header, Kind
from crypto.secret import SecretKey


class VaultId(NamedTuple):
    """A vault and its tenant, 16 bytes each; part of the header of everything sealed."""

    tenant: bytes
    vault: bytes

    def header(self, kind: Kind, epoch: int, object_id: bytes) -> Header:
        """The header of one object of this vault."""
        return Header(self.tenant, self.vault, epoch, kind, object_id)


class KeyRing(Protocol):
    """The keys of one vault, as far as a ticket covers them; `workers/` implements it over the DEK cache.

    Both methods raise StrongroomError (a refusal of the key-broker, a missing key record) when there is no
    key.
    """

    def dek(self, epoch: int) -> SecretKey:
        """The data key of an epoch; not to be kept, so that the cache's bounds hold."""
        ...

    def chunk_id_key(self) -> SecretKey:
        """The key that chunk ids and chunk boundaries come from."""
        ...
