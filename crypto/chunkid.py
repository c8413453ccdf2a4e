"""Chunk ids and chunk boundaries, both keyed, so that neither tells an onlooker what is stored.

From the vault's chunk-id key: BLAKE3 in keyed mode for the ids, and a seed for the chunker's gear table.
"""

from blake3 import blake3

from crypto.secret import SecretKey

ID_BYTES = 32
_IDS = "strongroom 2026 chunk ids v1"
_SEED = "strongroom 2026 chunker seed v1"


class ChunkIds:
    """Names chunks by their content under one vault's key.

    Args:
        chunk_id_key: the vault's key; the sub-keys derived here live as long as this object.

    Raises:
        KeyWiped: the time of `chunk_id_key` is over.
    """

    __slots__ = ("_key", "seed")

    def __init__(self, chunk_id_key: SecretKey) -> None:
        self._key = SecretKey(blake3(chunk_id_key.view(), derive_key_context=_IDS).digest())
        self.seed = int.from_bytes(blake3(chunk_id_key.view(), derive_key_context=_SEED).digest(8), "big")
        """Seed of the chunker, 64 bits."""
        chunk_id_key.require_intact()

    def name(self, chunk: bytes | bytearray | memoryview) -> bytes:
        """The 32-byte id of a chunk's plain bytes.

        Raises:
            KeyWiped: `wipe` was called.
        """
        name = blake3(chunk, key=self._key.view()).digest()
        self._key.require_intact()
        return name

    def wipe(self) -> None:
        """Forget the key; naming raises afterwards."""
        self._key.wipe()
        self.seed = 0
