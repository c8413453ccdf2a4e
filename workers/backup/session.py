"""What the three steps of a backup share: the repository opened for a job, its keys, its index."""

import logging
import os

from config.errors import StrongroomError
from crypto.chunkid import ChunkIds, FileNames
from crypto.errors import Expired
from crypto.job import BackupSpec, InitSpec
from repository import layout
from repository.buffers import scratch
from repository.cache.files import KnownFiles
from repository.chunker import Chunker, ChunkSizes
from repository.errors import ObjectMissing, RepositoryError
from repository.index import ChunkIndex
from repository.pack import PackWriter, buffer_size
from repository.prunes import NOTHING_STRUCK, Struck, read_struck
from repository.retry import OnWait, unheard
from repository.store import WriteStore
from repository.stores import open_writer
from repository.stream import BUFFER, ChunkStream
from repository.vault import chunk_sizes, read_config
from sources.filesystem.files import FileSource
from sources.filesystem.guard import Guard
from sources.source import Source
from workers.admission import Job
from workers.backup.endpoints import require_endpoints
from workers.backup.own_secrets import own_secrets
from workers.indexes import LastLook, file_tables, host_indexes
from workers.keys import Send, VaultKeys
from workers.process import Process, now_ms

logger = logging.getLogger(__name__)

BUCKETS = b"s3://"
"""What a path begins with that is the URI of a bucket; those of files begin with a slash."""


class WrongSpec(StrongroomError):
    """The job's spec is of another kind than the task."""


class BackupProcess:
    """What a backup process keeps from task to task: indexes by vault, and the buffers of the hot path."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.indexes = host_indexes(process.home, process.role)
        self.files = file_tables(process.home, process.role)
        self.last_look = LastLook()
        self.struck = NOTHING_STRUCK
        """As of the last look."""
        self.sizes: tuple[bytes, ChunkSizes] | None = None
        """Of the last job's vault, with that job's id: its configuration never changes."""
        self.buffers: tuple[memoryview, memoryview] | None = None

    def scratch(self) -> tuple[memoryview, memoryview]:
        """The stream's and the pack's buffer: one of each, because a process does one task after another."""
        if self.buffers is None:
            self.buffers = scratch(BUFFER), scratch(buffer_size())
        return self.buffers

    def stop(self) -> None:
        """Wipe the process's keys, and close what it has open."""
        self.process.stop()
        for copies in (self.indexes, self.files):
            copies.close()


class BackupSession:
    """A job's repository, opened for adding to it.

    Args:
        own: of this process.
        job: admitted.
        send: wakes other roles.
        on_wait: told when the repository or a bucket to back up does not answer.

    Raises:
        StoreError: the repository cannot be reached.
        WrongSpec: the job is not a backup.
    """

    def __init__(self, own: BackupProcess, job: Job, send: Send, on_wait: OnWait = unheard) -> None:
        if not isinstance(job.spec, BackupSpec | InitSpec):
            raise WrongSpec("this job is no backup")
        self.own = own
        self.job = job
        self.send = send
        self.vault = job.vault
        self._on_wait = on_wait
        self.store: WriteStore = open_writer(
            job.spec.repo,
            own.process.settings.store,
            create=isinstance(job.spec, InitSpec),
            on_wait=on_wait,
            require=self._require_time,
        )
        self.keys = VaultKeys(own.process, job, self.store, send)

    def _require_time(self) -> None:
        """Nothing is stored once the ticket's time is over, least of all a snapshot, however long a worker stood still.

        A prune relies on it: from then on it does not have to see to it that an ended job commits nothing.
        """
        if now_ms() >= self.job.ticket.expires_ms:
            raise Expired(
                "the time of the job's ticket was over before all was stored", remedy="submit it again"
            )

    @property
    def spec(self) -> BackupSpec:
        """What to back up.

        Raises:
            WrongSpec: nothing, this job makes a vault.
        """
        if not isinstance(self.job.spec, BackupSpec):
            raise WrongSpec("this job is no backup")
        return self.job.spec

    def source(self) -> Source:
        """Where the paths of the job are.

        Raises:
            StrongroomError: they name no place of one kind.
        """
        paths = self.spec.paths
        if not any(path.startswith(BUCKETS) for path in paths):
            process = self.own.process
            return FileSource(paths, Guard(own_secrets(process.home, process.settings)))
        from sources.s3.objects import ObjectSource  # a worker without S3 must not load its library

        uris = [os.fsdecode(path) for path in paths]
        require_endpoints(uris, self.spec.repo, self.own.process.settings)
        return ObjectSource(uris, self.own.process.settings.store, self._on_wait)

    def is_over(self) -> bool:
        """Whether the job's snapshot is committed and its working objects are removed: nobody waits for it any more.

        Before they are removed an attempt may still have to say that the job is done.
        """
        job = self.job.id
        return self.holds(layout.snapshot_name(job)) and not self.holds(layout.plan_name(job))

    def holds(self, name: str) -> bool:
        """Whether the repository has that object."""
        try:
            self.store.size(name)
        except ObjectMissing:
            return False
        return True

    def index(self) -> ChunkIndex:
        """The vault's index with every index object that was in the store a moment ago."""
        index, last = self.own.indexes.of(self.vault), self.own.last_look
        if not last.was_for(self.job.id):
            # Packs of another job that no index names may be gone: what ended jobs leave is removed.
            index.forget_unindexed()
        if last.is_due(self.job.id):
            # Every process looks at its first step of a job, so that no job misses what was marked before it began.
            self.own.struck = read_struck(self.store, self.vault, self.keys, known=self.own.struck)
            index.refresh(self.store, self.vault, self.keys, log_damaged, self.own.struck)
            last.done(self.job.id)
        return index

    def struck(self) -> Struck:
        """What must not be relied on: a prune has marked it, or is removing it."""
        self.index()
        return self.own.struck

    def files(self) -> KnownFiles:
        """The files that this host has stored in the vault."""
        table = self.own.files.of(self.vault)
        table.open()
        return KnownFiles(table, FileNames(self.keys.chunk_id_key()))

    def stream(self, epoch: int, index: ChunkIndex) -> ChunkStream:
        """A fresh stream for one segment, sealing in `epoch`."""
        self.keys.sealing_epoch = epoch
        ids = ChunkIds(self.keys.chunk_id_key())
        stream_buffer, pack_buffer = self.own.scratch()
        packs = PackWriter(self.vault, epoch, self.keys, buffer=pack_buffer)
        return ChunkStream(self.store, ids, self._chunker(ids), index, packs, stream_buffer)

    def chunker(self) -> Chunker:
        """The vault's chunker."""
        return self._chunker(ChunkIds(self.keys.chunk_id_key()))

    def _chunker(self, ids: ChunkIds) -> Chunker:
        known = self.own.sizes
        if known is None or known[0] != self.job.id:
            config = read_config(self.store, self.vault, self.keys)
            known = self.own.sizes = self.job.id, chunk_sizes(config)
        return Chunker(ids.seed, known[1])


def log_damaged(name: str, error: RepositoryError) -> None:
    """What is damaged only costs deduplication here: `check` names it, a backup goes on without it."""
    logger.warning("%s cannot be used: %s", name, type(error).__name__)
