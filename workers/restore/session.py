"""What the steps of a restore share: the repository opened for reading, the delivery area for writing."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from config.errors import StrongroomError
from config.home import OWNER_ONLY_DIR
from config.queues import RESTORE_SEGMENT
from crypto.job import FindSpec, Reading, RestoreSpec
from repository.buffers import Reused
from repository.catalog import read_snapshot, read_snapshots
from repository.errors import RepositoryError, SnapshotVoid
from repository.fetch import FetchRoom, fetch_room
from repository.index import ChunkIndex
from repository.manifest import ManifestRef, Snapshot
from repository.place import FolderPlace, S3Place, parse_place
from repository.prunes import NOTHING_STRUCK, read_struck
from repository.retry import OnWait, unheard
from repository.store import ReadStore, WriteStore
from repository.stores import open_reader, open_writer
from repository.vault import read_config
from workers.admission import Job
from workers.indexes import LastLook, host_indexes
from workers.keys import Send, VaultKeys
from workers.process import Process
from workers.restore.batch import PARCEL_BYTES
from workers.restore.pace import Ahead
from workers.restore.select import Selection

MIN_PREFIX = 4
LATEST = "latest"


class NoSuchSnapshot(StrongroomError):
    """The vault has no snapshot that the request could mean, or more than one."""


class WrongSpec(StrongroomError):
    """The job's spec is of another kind than the task."""


class ForeignDelivery(StrongroomError):
    """The request names a delivery area that this worker may not write to."""


class Planned(NamedTuple):
    """A job's snapshot and its segments in it: the same for all of them, and large, so read once for a process."""

    job: bytes
    name: str
    snapshot: Snapshot
    refs: list[ManifestRef]


class RestoreProcess:
    """What a restore process keeps from task to task: the indexes of the vaults it last read, and its buffers."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.indexes = host_indexes(process.home, process.role)
        self.sealed = Reused()
        """For the parcel that is being written."""
        self.last_look = LastLook()
        self.struck = NOTHING_STRUCK
        """As of that look."""
        self.planned: Planned | None = None
        self.ahead: Ahead | None = None
        self._fetching: FetchRoom | None = None

    def fetching(self) -> FetchRoom:
        """For the chunks of one parcel."""
        if self._fetching is None:
            self._fetching = fetch_room(PARCEL_BYTES)
        return self._fetching

    def stop(self) -> None:
        """Wipe the process's keys, and close what it has open."""
        self.process.stop()
        self.indexes.close()


class RestoreSession:
    """A job's repository, opened for reading only.

    Args:
        own: of this process.
        job: admitted.
        send: wakes other roles.
        on_wait: told when the repository or the delivery area does not answer.

    Raises:
        StoreError: the repository or the delivery area cannot be reached.
        ForeignDelivery: the delivery area is not one of this installation.
        WrongSpec: the job is none of a restore worker's.
    """

    def __init__(self, own: RestoreProcess, job: Job, send: Send, on_wait: OnWait = unheard) -> None:
        spec = job.spec
        if not isinstance(spec, Reading):
            raise WrongSpec("this job reads nothing")
        self.own = own
        self.job = job
        self.spec: Reading = spec
        self.send = send
        self.vault = job.vault
        self.store: ReadStore = open_reader(spec.repo, own.process.settings.store, on_wait=on_wait)
        area = _allowed(own.process, spec.delivery)
        self.delivery: WriteStore = open_writer(
            area, own.process.settings.store, handover=True, on_wait=on_wait
        )
        place = parse_place(area)
        self.delivery_folder: Path | None = place.path if isinstance(place, FolderPlace) else None
        self.keys = VaultKeys(own.process, job, self.store, send)

    def open_delivery(self) -> None:
        """Make the job's place in the delivery area, if that is a folder; its requester, who may have, removes it.

        Raises:
            ForeignDelivery: it cannot be made.
        """
        folder = self._job_folder
        if folder is not None:
            try:
                folder.mkdir(OWNER_ONLY_DIR, exist_ok=True)
            except OSError as error:
                raise ForeignDelivery(
                    f"the delivery area cannot be used: {error.strerror}",
                    remedy="check the folder and its permissions",
                ) from error

    def is_wanted(self) -> bool:
        """False once the requester has removed the job's place: nobody will take what is delivered there."""
        return self._job_folder is None or self._job_folder.is_dir()

    @property
    def _job_folder(self) -> Path | None:
        return None if self.delivery_folder is None else self.delivery_folder / self.job.id.hex()

    def prove_vault(self) -> None:
        """Refuse a repository that is not the vault's, or whose key is not to be had, before anything else.

        Raises:
            VaultMismatch, UnknownFormat, ObjectMissing, KeyRefused, KeyBrokerSilent.
        """
        read_config(self.store, self.vault, self.keys)

    def index(self) -> ChunkIndex:
        """The vault's index with every index object that was in the store a moment ago: those of a snapshot were."""
        index, last = self.own.indexes.of(self.vault), self.own.last_look
        if last.is_due(self.job.id):
            self.look_again()
        return index

    def wake_segment(self, snapshot: bytes, number: int) -> None:
        """Wake a worker for one segment of the restore."""
        self.send(RESTORE_SEGMENT, *self.job.texts(), snapshot.hex(), number)

    @property
    def in_order(self) -> bool:
        """Whether the requester takes segment after segment, and its own time."""
        return isinstance(self.spec, RestoreSpec) and self.spec.in_order

    def look_again(self) -> None:
        """Have the index as it is now: a prune may have moved a chunk, and removed the pack that it was in."""
        struck = self.own.struck = read_struck(
            self.store, self.vault, self.keys, swept_only=True, known=self.own.struck
        )
        index = self.own.indexes.of(self.vault)
        index.refresh(self.store, self.vault, self.keys, _ignore_damaged, struck)
        self.own.last_look.done(self.job.id)

    def selection(self) -> Selection:
        """What of the snapshot is wanted."""
        spec = self.spec
        if isinstance(spec, RestoreSpec):
            return Selection(spec.path, spec.includes, spec.excludes)
        return Selection(b"" if isinstance(spec, FindSpec) else spec.path)

    def segments(self, snapshot: Snapshot) -> list[ManifestRef]:
        """The manifests that can hold something wanted: the restore's segments, numbered from 0.

        Every worker finds the same ones, so that a message can name none that was not planned.
        """
        selection = self.selection()
        return [ref for ref in snapshot.manifests if selection.overlaps(ref)]

    def planned(self, name: str) -> Planned:
        """The snapshot of an id, and its segments; kept until the process is given another job.

        Raises:
            NoSuchSnapshot, RepositoryError: as `snapshot`.
        """
        known = self.own.planned
        if known is None or (known.job, known.name) != (self.job.id, name):
            snapshot = self.snapshot(name)
            known = self.own.planned = Planned(self.job.id, name, snapshot, self.segments(snapshot))
        return known

    def snapshots(self, on_damaged: Callable[[str, RepositoryError], None]) -> list[Snapshot]:
        """All snapshots that can be opened, oldest first.

        Args:
            on_damaged: told of each that cannot: a listing without it would hide that it is there.
        """
        return read_snapshots(self.store, self.vault, self.keys, on_damaged)

    def snapshot(self, wanted: str) -> Snapshot:
        """The snapshot of an id, or of an unambiguous prefix of one.

        Raises:
            NoSuchSnapshot: none, or several.
            RepositoryError: it is damaged.
        """
        if len(wanted) == 2 * len(self.job.id):
            candidates = [name for name in self._names() if name == wanted]
        else:
            candidates = [
                name for name in self._names() if name.startswith(wanted) and len(wanted) >= MIN_PREFIX
            ]
        if len(candidates) != 1:
            what = "no snapshot" if not candidates else f"{len(candidates)} snapshots"
            raise NoSuchSnapshot(
                f"{what} of this vault has an id that begins with {wanted}",
                remedy=f"see `strongroom snapshots`; give an id, at least {MIN_PREFIX} digits of one, or latest",
            )
        try:
            return read_snapshot(self.store, self.vault, self.keys, bytes.fromhex(candidates[0]))
        except SnapshotVoid as error:
            # Its name is taken by what a prune has put there; for a reader that is as good as none.
            raise NoSuchSnapshot(
                f"no snapshot of this vault has an id that begins with {wanted}: "
                "it was forgotten, or never committed",
                remedy="see `strongroom snapshots`",
            ) from error

    def _names(self) -> list[str]:
        return [name.rpartition("/")[2] for name in self.store.list("snapshots/")]


def _allowed(process: Process, area: str) -> str:
    """A requester chooses among the areas of this installation; nothing else on this host is written to.

    Raises:
        ForeignDelivery: any other place, or one that keeps what it gets.
        StoreUnsupported: the request, or the settings, name no place at all.
    """
    settings = process.settings.delivery
    ours = (process.home.delivery.as_uri(), *filter(None, (settings.area, *settings.areas)))
    place = parse_place(area)
    if place not in [parse_place(uri) for uri in ours]:
        raise ForeignDelivery(
            "the request names a delivery area that is not this installation's",
            remedy="add it to areas in the section [delivery] of the restore worker's config.toml",
        )
    if isinstance(place, S3Place) and place.lock:
        raise ForeignDelivery(
            "a delivery area cannot lock its objects: parcels are removed once they are opened",
            remedy="leave lock and retention out of its URI",
        )
    return area


def _ignore_damaged(name: str, error: RepositoryError) -> None:
    """Chunks that a damaged index object named are missed when they are needed, and then named by their files."""
