"""What makes a folder of objects a vault: its configuration, and the wrapped keys beside the data.

Write order of a new vault: the key records, then `config`; a repository without `config` is not a vault yet.
"""

from crypto.canonical import decode, encode
from crypto.errors import HeaderMismatch, Malformed
from crypto.errors import UnknownFormat as UnknownHeader
from crypto.header import SUITE_COBBLESTONE_256, SUITE_FLOOR, Header, Kind
from crypto.keyrecord import CHUNK_ID, DEK, MAX_RECORD, KeyRecord
from crypto.secret import SecretKey
from repository import layout
from repository.access import KeyRing, VaultId
from repository.chunker import DEFAULT_SIZES, MAX_CHUNK, ChunkSizes
from repository.errors import (
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    StoreUnsupported,
    UnknownFormat,
    VaultMismatch,
    WrongObject,
)
from repository.manifest import VaultConfig
from repository.objects import (
    MAX_VAULT,
    check_header,
    get_object,
    parse,
    put_struct,
    stored_limit,
)
from repository.store import ReadStore, WriteStore

FIRST_EPOCH = 1
_SMALLEST_CHUNK = 64 * 1024
_TRIES = 3


def new_config(created_ms: int, sizes: ChunkSizes = DEFAULT_SIZES) -> VaultConfig:
    """The configuration of a vault made now, by this release."""
    return VaultConfig(SUITE_FLOOR, sizes.smallest, sizes.average, sizes.largest, created_ms)


def write_config(store: WriteStore, vault: VaultId, key: SecretKey, config: VaultConfig) -> None:
    """Commit a new vault; its key records are stored already. `key` is the DEK of epoch 1.

    Raises:
        ObjectExists: there is a vault in this repository.
        StoreError: the store refused.
    """
    put_struct(store, layout.CONFIG, key, _config_header(vault), config, MAX_VAULT)


def read_vault_header(store: ReadStore) -> Header:
    """Which vault a repository says it is: the clear part of `config`, not authenticated yet.

    Raises:
        ObjectMissing: there is no vault here.
        UnknownFormat: what is here is not a vault that this release can read.
    """
    try:
        data = store.get(layout.CONFIG, stored_limit(MAX_VAULT))
    except ObjectMissing as error:
        raise ObjectMissing(
            "there is no vault in this repository",
            remedy="check the URI, or make a vault with `strongroom init`",
        ) from error
    try:
        header, _ = Header.decode(data)
    except UnknownHeader as error:
        raise UnknownFormat(f"{layout.CONFIG}: {error.message}", remedy=error.remedy) from error
    check_header(data, layout.CONFIG, _config_header(VaultId(header.tenant, header.vault)))
    return header


def read_config(store: ReadStore, vault: VaultId, keys: KeyRing) -> VaultConfig:
    """The vault's configuration, verified.

    Raises:
        ObjectMissing: there is no vault here.
        VaultMismatch: there is another vault here.
        UnknownFormat: the vault asks for suites or sizes that this release does not have.
        ObjectDamaged, StoreError: see `repository.objects`.
    """
    body = get_object(store, layout.CONFIG, keys.dek(FIRST_EPOCH), _config_header(vault), MAX_VAULT)
    config = parse(VaultConfig, body, layout.CONFIG, MAX_VAULT)
    if not SUITE_FLOOR <= config.suite_floor <= SUITE_COBBLESTONE_256:
        raise UnknownFormat(
            f"the vault accepts cipher suites from {config.suite_floor:#06x} only",
            remedy="use a newer release",
        )
    if not _SMALLEST_CHUNK <= config.chunk_min <= config.chunk_avg <= config.chunk_max <= MAX_CHUNK:
        raise UnknownFormat("the vault's chunk sizes are out of range", remedy="use a newer release")
    return config


def chunk_sizes(config: VaultConfig) -> ChunkSizes:
    """The chunker's bounds in this vault."""
    return ChunkSizes(config.chunk_min, config.chunk_avg, config.chunk_max)


def write_key_record(store: WriteStore, record: KeyRecord) -> None:
    """Store one wrapped key; before anything that is sealed under it.

    Raises:
        ObjectExists: that key is stored already.
        StoreError: the store refused.
    """
    store.put(_record_name(record.purpose, record.epoch), [encode(record)])


def require_create_once(store: WriteStore, name: str) -> None:
    """Prove, on an object that was just made, that the store refuses a name that is taken.

    Not every server that speaks S3 heeds the condition of a write; without it, two backups could undo each other.

    Raises:
        StoreUnsupported: it overwrites (here by the same bytes, so nothing is lost).
        StoreError: the store refused otherwise.
    """
    data = store.get(name, MAX_RECORD)
    for _ in range(_TRIES):  # one that was tried again is a success when the same bytes are found
        try:
            store.put(name, [data])
        except ObjectExists:
            return
    raise StoreUnsupported(
        "the store overwrites objects: it does not honour conditional writes",
        remedy="use a server that supports If-None-Match",
    )


def read_key_record(store: ReadStore, vault: VaultId, purpose: str, epoch: int) -> KeyRecord:
    """One wrapped key of this vault: purpose DEK and an epoch, or CHUNK_ID and epoch 0.

    Raises:
        ObjectMissing: no such key.
        VaultMismatch: the record is another vault's.
        WrongObject: the record is for another purpose or epoch, or of an unknown version.
        ObjectDamaged: it is no key record.
    """
    name = _record_name(purpose, epoch)
    try:
        record = decode(KeyRecord, store.get(name, MAX_RECORD), limit=MAX_RECORD)
    except Malformed as error:
        raise ObjectDamaged(f"{name}: {error.message}") from error
    try:
        record.require(vault.tenant, vault.vault, purpose, epoch)
    except HeaderMismatch as error:
        foreign = (record.tenant, record.vault) != vault
        raise (VaultMismatch if foreign else WrongObject)(
            f"{name}: {error.message}", remedy=error.remedy
        ) from error
    return record


def epochs(store: ReadStore) -> list[int]:
    """The epochs that have a wrapped DEK, ascending.

    Raises:
        StoreError: the listing failed.
    """
    return sorted(epoch for name in store.list(layout.KEYS) if (epoch := layout.epoch_of(name)) is not None)


def _config_header(vault: VaultId) -> Header:
    return vault.header(Kind.VAULT, FIRST_EPOCH, vault.vault)


def _record_name(purpose: str, epoch: int) -> str:
    if purpose == DEK:
        return layout.dek_name(epoch)
    if purpose == CHUNK_ID and epoch == 0:
        return layout.CHUNK_ID_KEY
    raise WrongObject(f"there is no {purpose} key of epoch {epoch}")
