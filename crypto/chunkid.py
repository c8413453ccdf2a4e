"""Chunk ids and chunk boundaries, both keyed, so that neither tells an onlooker what is stored.

From the vault's chunk-id key: BLAKE3 in keyed mode for the ids, a seed for the chunker's gear table, and another key
for the names of files in a host's table.
"""

from blake3 import blake3

from crypto.secret import SecretKey

ID_BYTES = 32
_IDS = "strongroom 2026 chunk ids v1"
_SEED = "strongroom 2026 chunker seed v1"
_FILES = "strongroom 2026 file names v1"


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


class FileNames:
    """Names files by their content, and proves what is said of them, under one vault's key.

    The digest of a public file is public, so that a table of digests on a disk would tell which of them there are.

    Args:
        chunk_id_key: the vault's key; the sub-key derived here lives as long as this object.

    Raises:
        KeyWiped: the time of `chunk_id_key` is over.
    """

    __slots__ = ("_key",)

    def __init__(self, chunk_id_key: SecretKey) -> None:
        self._key = SecretKey(blake3(chunk_id_key.view(), derive_key_context=_FILES).digest())
        chunk_id_key.require_intact()

    def name(self, digest: bytes, size: int) -> bytes:
        """The 16-byte name of a file's content, from its BLAKE3 and its length in bytes.

        Raises:
            KeyWiped: `wipe` was called.
        """
        return self._keyed(b"name" + digest + size.to_bytes(8, "big"), 16)

    def proof(self, name: bytes, said: bytes) -> bytes:
        """8 bytes that only a holder of the key can make for what is said of a named file.

        Raises:
            KeyWiped: `wipe` was called.
        """
        return self._keyed(b"said" + name + said, 8)

    def wipe(self) -> None:
        """Forget the key; naming raises afterwards."""
        self._key.wipe()

    def _keyed(self, message: bytes, length: int) -> bytes:
        found = blake3(message, key=self._key.view()).digest(length)
        self._key.require_intact()
        return found
