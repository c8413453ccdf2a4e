"""Object names: the only place that knows where things are in the store (docs/format.md, "Names").

Ids are bytes in memory and lower-case hex in names. An id of 24 bytes is `segment_id`: job, fence, number.
"""

from repository.errors import InvalidName, ObjectDamaged

ID = 16
CHUNK_ID = 32
SEGMENT_ID = 24

CONFIG = "config"
CHUNK_ID_KEY = "keys/chunk-id"
KEYS = "keys/"
PACKS = "packs/"
INDEX = "index/"
MANIFESTS = "manifests/"
SNAPSHOTS = "snapshots/"
JOBS = "jobs/"
PRUNES = "prunes/"

_MARK = "/mark"
_SWEEP = "/sweep"

_DEK = "keys/dek-"
_U32 = 1 << 32


def dek_name(epoch: int) -> str:
    """Name of the wrapped DEK of an epoch (>= 1).

    Raises:
        InvalidName: the epoch does not fit eight digits.
    """
    if not 1 <= epoch <= 99_999_999:
        raise InvalidName(f"epoch {epoch} is out of range")
    return f"{_DEK}{epoch:08d}"


def epoch_of(name: str) -> int | None:
    """The epoch whose DEK the object holds, or None for the other names below `keys/`."""
    digits = name.removeprefix(_DEK)
    if digits == name or len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits) or None


def segment_id(job: bytes, fence: int, number: int) -> bytes:
    """24 bytes: job (16), fence u32, number u32: unique per attempt, equal for a duplicate delivery.

    Raises:
        InvalidName: a part is out of range.
    """
    if len(job) != ID or not 1 <= fence < _U32 or not 0 <= number < _U32:
        raise InvalidName(f"no segment id from fence {fence}, number {number}")
    return job + fence.to_bytes(4, "big") + number.to_bytes(4, "big")


def parts_of(segment: bytes) -> tuple[bytes, int, int]:
    """Job, fence and number of a segment id.

    Raises:
        InvalidName: not 24 bytes.
    """
    if len(segment) != SEGMENT_ID:
        raise InvalidName(f"an id of {len(segment)} bytes where {SEGMENT_ID} are due")
    return segment[:ID], int.from_bytes(segment[ID : ID + 4], "big"), int.from_bytes(segment[ID + 4 :], "big")


def pack_name(pack_id: bytes) -> str:
    """Name of a pack; the first two digits spread packs over 256 folders.

    Raises:
        InvalidName: not a 16-byte id.
    """
    digits = _hex(pack_id, ID)
    return f"{PACKS}{digits[:2]}/{digits}"


def index_name(index_id: bytes) -> str:
    """Name of an index object, from a segment id.

    Raises:
        InvalidName: not a 24-byte id.
    """
    return INDEX + _hex(index_id, SEGMENT_ID)


def manifest_name(manifest_id: bytes) -> str:
    """Name of a segment's manifest, from a segment id.

    Raises:
        InvalidName: not a 24-byte id.
    """
    return MANIFESTS + _hex(manifest_id, SEGMENT_ID)


def snapshot_name(snapshot_id: bytes) -> str:
    """Name of a snapshot.

    Raises:
        InvalidName: not a 16-byte id.
    """
    return SNAPSHOTS + _hex(snapshot_id, ID)


def job_prefix(job: bytes) -> str:
    """Folder of a job's own objects.

    Raises:
        InvalidName: not a 16-byte id.
    """
    return f"{JOBS}{_hex(job, ID)}/"


def job_of(name: str) -> bytes | None:
    """The job that a name below jobs/ belongs to, or None: somebody else put it there."""
    digits = name.removeprefix(JOBS).partition("/")[0]
    try:
        job = bytes.fromhex(digits)
    except ValueError:
        return None
    return job if len(job) == ID and name.startswith(job_prefix(job)) else None


def plan_name(job: bytes) -> str:
    """Name of a job's plan.

    Raises:
        InvalidName: not a 16-byte id.
    """
    return job_prefix(job) + "plan"


def work_name(job: bytes, fence: int, number: int) -> str:
    """Name of what segment `number` of the attempt has to do."""
    return f"{job_prefix(job)}work-{fence}-{number}"


def done_name(job: bytes, fence: int, number: int) -> str:
    """Name of what segment `number` of the attempt has done."""
    return f"{job_prefix(job)}done-{fence}-{number}"


def result_name(job: bytes) -> str:
    """Name of a job's outcome.

    Raises:
        InvalidName: not a 16-byte id.
    """
    return job_prefix(job) + "result"


def mark_name(prune: bytes) -> str:
    """Name of what a prune (a job id) has found that nothing needs, and may remove later.

    Raises:
        InvalidName: not a 16-byte id.
    """
    return PRUNES + _hex(prune, ID) + _MARK


def sweep_name(prune: bytes) -> str:
    """Name of what a prune removes.

    Raises:
        InvalidName: not a 16-byte id.
    """
    return PRUNES + _hex(prune, ID) + _SWEEP


def prune_of(name: str) -> tuple[bytes, bool]:
    """The id that a name below prunes/ carries, and whether it is the name of a sweep.

    Raises:
        ObjectDamaged: it is neither a mark's nor a sweep's.
    """
    prune = id_of(name.rpartition("/")[0])
    for made in (mark_name, sweep_name):
        if len(prune) == ID and made(prune) == name:
            return prune, made is sweep_name
    raise ObjectDamaged(
        f"{name} is not the name of an object of this vault", remedy="remove the stray object"
    )


def id_of(name: str) -> bytes:
    """The id that a name below packs/, index/, manifests/ or snapshots/ carries.

    Raises:
        ObjectDamaged: the last part of the name is not the hex of an id; somebody else put it there.
    """
    last = name.rsplit("/", 1)[-1]
    try:
        found = bytes.fromhex(last)
    except ValueError:
        found = b""
    if found.hex() != last or len(found) not in (ID, SEGMENT_ID):
        raise ObjectDamaged(
            f"{name} is not the name of an object of this vault", remedy="remove the stray object"
        )
    return found


def _hex(value: bytes, length: int) -> str:
    if len(value) != length:
        raise InvalidName(f"an id of {len(value)} bytes where {length} are due")
    return value.hex()
