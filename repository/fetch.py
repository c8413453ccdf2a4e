"""The read path of a restore: chunks by id, in few and large reads, opened but not decompressed.

A chunk that cannot be had is reported and the others go on: the caller names the files it belongs to.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from crypto.errors import SealBroken
from crypto.header import Kind
from crypto.sealing import open_into, sealed_length
from repository.access import KeyRing, VaultId
from repository.buffers import scratch
from repository.chunker import MAX_CHUNK
from repository.errors import ChunkDamaged, ChunkMissing, FormatError, ObjectMissing, RepositoryError
from repository.index import ChunkIndex, Location
from repository.layout import pack_name
from repository.store import ReadStore

MAX_GAP = 256 << 10
"""Bytes that nobody asked for are read along if they are no more than this between two chunks."""
MAX_READ = 16 << 20


class Fetched(NamedTuple):
    """A chunk as its pack holds it. `payload` is only good for a while: see `Fetcher`."""

    chunk_id: bytes
    codec: int
    raw_len: int
    payload: memoryview
    epoch: int


class FetchFailure(NamedTuple):
    """A chunk that cannot be delivered, and why: ChunkMissing or ChunkDamaged."""

    chunk_id: bytes
    error: RepositoryError


class _Wanted(NamedTuple):
    offset: int
    chunk_id: bytes
    at: Location


class FetchRoom(NamedTuple):
    """The two buffers of a fetcher, from `fetch_room`; one after another may use the same."""

    sealed: memoryview
    plain: memoryview
    together: bool = False
    """Whether payloads stay good side by side."""


def fetch_room(together: int = 0) -> FetchRoom:
    """Buffers for a fetcher.

    Args:
        together: the payloads of one fetch stay good up to this many sealed bytes; with 0, each is only good until
            the next one is asked for.
    """
    return FetchRoom(scratch(MAX_READ), scratch(max(together, sealed_length(MAX_CHUNK))), together > 0)


class Fetcher:
    """Fetches chunks through two reused buffers; one fetch at a time.

    Args:
        store: where the packs are.
        vault: whose packs.
        keys: asked for the DEK at each chunk, so that a revoked key acts at once.
        index: knows where chunks are.
        room: to read into and to open in; its own when there is none.
    """

    def __init__(
        self,
        store: ReadStore,
        vault: VaultId,
        keys: KeyRing,
        index: ChunkIndex,
        room: FetchRoom | None = None,
    ) -> None:
        self._store = store
        self._vault = vault
        self._keys = keys
        self._index = index
        self._sealed, self._plain, self._together = room or fetch_room()
        self._used = 0

    def fetch(self, chunk_ids: Iterable[bytes]) -> Iterator[Fetched | FetchFailure]:
        """Each of the chunks once: pack by pack in the order of first need, by offset within a pack.

        What is missing or damaged in one pack comes last, from another pack that holds it, if there is one.

        Raises:
            StoreError: the store does not answer or does not let us; nothing is said about the chunks.
            StrongroomError: the key ring has no key any more.
        """
        found = []
        for chunk_id in dict.fromkeys(chunk_ids):
            try:
                found.append((chunk_id, self._index.locate(chunk_id)))
            except ChunkMissing as error:
                yield FetchFailure(chunk_id, error)
        self._used = 0
        failures: dict[bytes, FetchFailure] = {}
        left: dict[bytes, list[Location]] = {}
        while found:
            now, found = dict(found), []
            for got in self._fetch_at(now.items()):
                if isinstance(got, Fetched):
                    yield got
                    continue
                chunk_id = got.chunk_id
                if chunk_id not in failures:
                    failures[chunk_id] = got
                    places = self._index.places(chunk_id)
                    left[chunk_id] = [place for place in places if place.pack != now[chunk_id].pack]
                if left[chunk_id]:
                    found.append((chunk_id, left[chunk_id].pop(0)))
                else:
                    yield failures[chunk_id]

    def fetch_at(self, places: Iterable[tuple[bytes, Location]]) -> Iterator[Fetched | FetchFailure]:
        """Like `fetch`, from places that the caller knows and no others.

        Raises:
            StoreError, StrongroomError: as `fetch`.
        """
        self._used = 0
        yield from self._fetch_at(places)

    def _fetch_at(self, places: Iterable[tuple[bytes, Location]]) -> Iterator[Fetched | FetchFailure]:
        packs: dict[bytes, list[_Wanted]] = {}
        for chunk_id, at in places:
            packs.setdefault(at.pack, []).append(_Wanted(at.offset, chunk_id, at))
        for wanted in packs.values():
            wanted.sort()
            for group in _coalesced(wanted):
                yield from self._group(group)

    def _group(self, group: list[_Wanted]) -> Iterator[Fetched | FetchFailure]:
        start, end = group[0].offset, group[-1].offset + group[-1].at.sealed_len
        sealed = self._sealed[: end - start]
        try:
            self._store.read_into(pack_name(group[0].at.pack), start, sealed)
        except (ObjectMissing, FormatError) as error:
            if len(group) == 1:
                yield _failure(group[0], error)
                return
            # The pack is cut short or gone: what is left of it may still hold some of the chunks.
            for wanted in group:
                yield from self._group([wanted])
            return
        for wanted in group:
            at = wanted.offset - start
            yield self._open(wanted, sealed[at : at + wanted.at.sealed_len])

    def _open(self, wanted: _Wanted, sealed: memoryview) -> Fetched | FetchFailure:
        at = wanted.at
        context = self._vault.header(Kind.CHUNK, at.epoch, wanted.chunk_id).encode()
        if self._used + len(sealed) > len(self._plain):
            self._used = 0
            if self._together:
                # More than was spoken of: what was handed out keeps the old room, and stays good.
                self._plain = scratch(len(self._plain))
        plain = self._plain[self._used :]
        try:
            length = open_into(self._keys.dek(at.epoch), context, sealed, plain)
        except SealBroken as error:
            return _failure(wanted, error)
        self._used += length
        return Fetched(wanted.chunk_id, at.codec, at.raw_len, plain[:length], at.epoch)


def _coalesced(wanted: list[_Wanted]) -> Iterator[list[_Wanted]]:
    """Runs of chunks of one pack that are worth one read; `wanted` is sorted by offset."""
    group: list[_Wanted] = []
    for one in wanted:
        if group:
            end = group[-1].offset + group[-1].at.sealed_len
            if one.offset - end > MAX_GAP or one.offset + one.at.sealed_len - group[0].offset > MAX_READ:
                yield group
                group = []
        group.append(one)
    if group:
        yield group


def _failure(wanted: _Wanted, error: RepositoryError | SealBroken) -> FetchFailure:
    name = pack_name(wanted.at.pack)
    damaged = ChunkDamaged(
        f"chunk {wanted.chunk_id.hex()} in {name}: {error.message}",
        chunk_id=wanted.chunk_id,
        pack_id=wanted.at.pack,
        remedy="run `strongroom check --read-data` to see what else is damaged",
    )
    damaged.__cause__ = error
    return FetchFailure(wanted.chunk_id, damaged)
