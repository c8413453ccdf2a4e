"""Buckets as a source: walking and reading behind the interface that every source has."""

from collections.abc import Iterator, Sequence
from typing import Final

from config.settings import StoreSettings
from repository.errors import StoreError, StoreUnsupported
from repository.retry import OnWait, unheard
from sources.patterns import Patterns
from sources.s3.bucket import Bucket, stamp_of
from sources.s3.listing import Listed, in_path_order
from sources.s3.place import BucketPath, NotAPlace, parse
from sources.s3.read import ObjectReader
from sources.source import Found, MissingRoot, Report, SourceError, order_key

MAX_OBJECT: Final = 50 << 40
"""Bytes of an object: the most that S3 takes. What a listing says is planned for before a byte of it is seen."""


class ObjectSource:
    """A Source: objects of one bucket.

    Args:
        uris: `s3://bucket/prefix?options`, at least one; they differ in nothing but the prefix.
        settings: of this host, section [store].
        on_wait: told when the bucket does not answer, and a request is tried again.

    Raises:
        NotAPlace: a URI names no objects, or two of them different buckets.
    """

    def __init__(self, uris: Sequence[str], settings: StoreSettings, on_wait: OnWait = unheard) -> None:
        self._places = places = _merged([parse(uri) for uri in uris])
        self._bucket = Bucket(places[0].place, settings, on_wait)

    @property
    def roots(self) -> Sequence[bytes]:
        """See Source."""
        return tuple(each.path for each in self._places)

    @property
    def host(self) -> str:
        """See Source: the server, from whatever machine it is read."""
        return self._places[0].server

    def walk(self, excludes: Patterns, on_error: Report, on_skip: Report) -> Iterator[Found]:
        """See Source.

        Raises:
            MissingRoot: before anything is walked: there is no object there.
            StoreError: the bucket cannot be listed.
        """
        for each in self._places:
            # An empty bucket is one that can be backed up.
            if each.prefix and next(self._below(each, 1), None) is None:
                raise MissingRoot(
                    each.path,
                    "there is no object to back up at a prefix that was given",
                    remedy="check the URI's prefix",
                )
        return self._walk(excludes, on_error)

    def look(self, path: bytes, offset: int, out: memoryview) -> int:
        """See Source."""
        try:
            found = self._bucket.look(self._bucket.key_of(path), offset, len(out))
        except (SourceError, StoreError):
            return 0
        out[: len(found)] = found
        return len(found)

    def reader(self) -> ObjectReader:
        """See Source."""
        return ObjectReader(self._bucket)

    def _walk(self, excludes: Patterns, on_error: Report) -> Iterator[Found]:
        last = b""
        for each in self._places:
            for found in self._below(each, 1000):
                path = each.path_to(found.key)
                key = order_key(path)
                if key <= last:
                    raise StoreUnsupported(
                        f"{each.place.shown}: the server lists keys in no order",
                        remedy="use a general purpose bucket",
                    )
                last = key
                if excludes and excludes.matches(path):
                    continue
                if not 0 <= found.size <= MAX_OBJECT:
                    on_error(path, "is listed with a size that no object has, and is left out")
                else:
                    yield Found(path, "f", found.size, stamp_of(found))

    def _below(self, place: BucketPath, page: int) -> Iterator[Listed]:
        if place.prefix:
            own = next(self._bucket.keys(place.prefix, "", 1), None)
            if own is not None and own.key == place.prefix:
                yield own
        yield from in_path_order(self._bucket.keys, place.folder, page=page)


def _merged(places: Sequence[BucketPath]) -> list[BucketPath]:
    """In path order, without those inside others."""
    if not places or any(each.place != places[0].place for each in places):
        raise NotAPlace(
            "one backup reads one bucket, in one way", remedy="make a backup of each bucket on its own"
        )
    merged: list[BucketPath] = []
    for each in sorted(set(places), key=lambda place: order_key(place.path)):
        if not merged or not f"{each.prefix}/".startswith(merged[-1].folder):
            merged.append(each)
    return merged
