"""From a repository's URI to a store of the least power that will do.

Around the store of the place stand the decorators, from the inside out: measure, limit, retry. So each attempt is
measured, and waiting for a turn is no part of what the store took.
"""

import os
from collections.abc import Callable

from config.settings import StoreSettings
from repository.directory import DirectoryPruner, DirectoryReader, DirectoryWriter
from repository.handover import HandoverPruner, HandoverWriter
from repository.limit import LimitedPruner, LimitedReader, LimitedWriter, limits_of
from repository.measure import MeasuredPruner, MeasuredReader, MeasuredWriter, Meter
from repository.place import FolderPlace, parse_place
from repository.retry import (
    OnWait,
    RetryingPruner,
    RetryingReader,
    RetryingWriter,
    RetryPolicy,
    anyway,
    unheard,
)
from repository.store import PruneStore, ReadStore, WriteStore

_DEFAULTS = StoreSettings()


def open_reader(
    uri: str,
    settings: StoreSettings = _DEFAULTS,
    meter: Meter | None = None,
    *,
    on_wait: OnWait = unheard,
) -> ReadStore:
    """A store that can only be read.

    Args:
        uri: `file:///absolute/folder` or `s3://bucket/prefix?options` (`repository.place`).
        settings: of this host, section [store].
        meter: told of every operation.
        on_wait: told when the store does not answer, and the call is tried again.

    Raises:
        StoreUnsupported: the URI is not one that this release can open.
        StoreMissing: there is no such folder.
    """
    policy = RetryPolicy(deadline_s=settings.deadline_s, on_wait=on_wait)
    place = parse_place(uri)
    store: ReadStore
    if isinstance(place, FolderPlace):
        store = DirectoryReader(place.path)
    else:
        from repository.s3.store import S3Reader  # a role without S3 must not load its library

        store = S3Reader(place, settings, policy)
    if meter is not None:
        store = MeasuredReader(store, meter)
    if settings.max_mib_per_s:
        store = LimitedReader(store, limits_of(settings, os.getpid()))
    return RetryingReader(store, policy)


def open_writer(
    uri: str,
    settings: StoreSettings = _DEFAULTS,
    meter: Meter | None = None,
    *,
    create: bool = False,
    handover: bool = False,
    on_wait: OnWait = unheard,
    require: Callable[[], None] = anyway,
) -> WriteStore:
    """A store that can be read and added to.

    Args:
        handover: in a folder, nothing has to last (`repository.handover`). Nothing is read back, so that a role that
            delivers needs no right to: after a lost answer the name is taken.
        require: asked before each request to the store, also when one is made again; what it raises ends the call.
        create: for `init` only: make a missing folder; look whether the bucket can hold a vault.

    Raises:
        StoreUnsupported: the URI is not one that this release can open, or the bucket lacks what it asks for.
        StoreMissing: there is no such folder, and `create` is off.
        StoreMissing: there is no such bucket; only told with `create`.
        StoreDenied: the folder cannot be made.
    """
    policy = RetryPolicy(deadline_s=settings.deadline_s, on_wait=on_wait, require=require)
    place = parse_place(uri)
    store: WriteStore
    if isinstance(place, FolderPlace):
        writer = HandoverWriter if handover else DirectoryWriter
        store = writer(place.path, create=create)
    else:
        from repository.s3.store import S3Writer

        store = S3Writer(place, settings, policy, create=create)
    if meter is not None:
        store = MeasuredWriter(store, meter)
    if settings.max_mib_per_s:
        store = LimitedWriter(store, limits_of(settings, os.getpid()))
    return RetryingWriter(store, policy, looks=not handover)


def open_pruner(
    uri: str,
    settings: StoreSettings = _DEFAULTS,
    meter: Meter | None = None,
    *,
    handover: bool = False,
    on_wait: OnWait = unheard,
) -> PruneStore:
    """A store that can also be removed from.

    Args:
        handover: in a folder, what is removed may be used again (`repository.handover`).

    Raises:
        StoreUnsupported: the URI is not one that this release can open.
        StoreMissing: there is no such folder.
    """
    policy = RetryPolicy(deadline_s=settings.deadline_s, on_wait=on_wait)
    place = parse_place(uri)
    store: PruneStore
    if isinstance(place, FolderPlace):
        store = HandoverPruner(place.path) if handover else DirectoryPruner(place.path)
    else:
        from repository.s3.store import S3Pruner

        store = S3Pruner(place, settings, policy)
    if meter is not None:
        store = MeasuredPruner(store, meter)
    if settings.max_mib_per_s:
        store = LimitedPruner(store, limits_of(settings, os.getpid()))
    return RetryingPruner(store, policy)
