"""One bucket: its listing, and pieces of its objects with all that S3 says of them.

Reaches S3 as the object store does: the same clients, credentials, table of errors and retries. What concerns one
object becomes a SourceError of its path; what concerns the bucket or the credentials stays a StoreError, so that a job
is tried again, or ends with a remedy, and no snapshot is committed without the objects.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple

from blake3 import blake3
from botocore.exceptions import ClientError

from config.settings import StoreSettings
from repository.errors import (
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreMissing,
    StoreUnreachable,
    StoreUnsupported,
)
from repository.limit import limits_of
from repository.place import S3Place
from repository.retry import OnWait, RetryPolicy, unheard
from repository.s3.client import client_of, forget_clients
from repository.s3.errors import CODES, code_of, in_our_words, translated
from repository.s3.pages import Entry, listed
from repository.s3.transfer import content_range, fill, whole_number
from sources.s3.listing import Listed
from sources.s3.metadata import ObjectMeta, decode, encode
from sources.s3.names import path_of, unescape
from sources.source import MetaDamaged, Replaced, Unreadable, Vanished

_ARCHIVED: Final = "InvalidObjectState"
_KEYLESS: Final = frozenset({"InvalidRequest", "InvalidArgument"})
_GONE: Final = "was removed before it could be read"
_REPLACED: Final = "was replaced by another while it was read"


class Head(NamedTuple):
    """What an answer says of a whole object. `meta` is encoded; `warnings`: what of it is not known."""

    etag: str
    size: int
    stamp: bytes
    meta: bytes
    warnings: tuple[str, ...]


class Bucket:
    """A bucket, for reading. May be used by several threads; connects with the first request.

    Args:
        place: where; its prefix is not looked at.
        settings: timeouts, and for how long a request is tried again.
        on_wait: told when that takes a while.
    """

    def __init__(self, place: S3Place, settings: StoreSettings, on_wait: OnWait = unheard) -> None:
        self.place = place
        self.settings = settings
        self._top = path_of(place.bucket, "") + b"/"
        self.policy = RetryPolicy(deadline_s=settings.deadline_s, on_wait=on_wait)
        self.named = {"Bucket": place.bucket} | ({"ExpectedBucketOwner": place.owner} if place.owner else {})

    @property
    def client(self) -> Any:
        """This process's client."""
        return client_of(self.place, self.settings)

    def keys(self, prefix: str, after: str, page: int) -> Iterator[Listed]:
        """The keys that begin with `prefix` and come after `after`, as the server has them.

        Args:
            page: how many to ask for at a time, at most 1000.

        Raises:
            StoreError: the bucket cannot be listed.
        """
        start = {"StartAfter": after} if after else {}
        ask = lambda more: self.policy.run(partial(self._page, prefix, page, more))  # noqa: E731
        for found in listed(ask, start, self.place.shown):
            yield from self._entries(prefix, found)

    def _entries(self, prefix: str, found: Sequence[Entry]) -> list[Listed]:
        with translated("listing", self.place, forget_clients):
            entries = [
                Listed(
                    each["Key"],
                    int(each["Size"]),
                    each.get("ETag", ""),
                    int(each["LastModified"].timestamp()),
                )
                for each in found
            ]
        if not all(each.key.startswith(prefix) for each in entries):
            raise StoreUnsupported(
                f"{self.place.shown}: the server lists keys that were not asked for",
                remedy="use another server",
            )
        return entries

    def read(self, key: str, offset: int, length: int, etag: str = "") -> tuple[Head | None, memoryview]:
        """Bytes from `offset`, up to `length` of them, less where the object ends.

        Args:
            etag: of the object of which this is to be another piece; without it the head is returned as well.

        Raises:
            SourceError: this object cannot be read.
            StoreError: the bucket cannot be read.
        """
        answer, data = self.policy.run(lambda _: self._get(key, offset, length, etag))
        return (None if etag else self.policy.run(lambda _: self._head(key, answer))), data

    def look(self, key: str, offset: int, length: int) -> memoryview:
        """The same bytes, of whatever object is there now.

        Raises:
            SourceError, StoreError: as `read`.
        """
        return self.policy.run(lambda _: self._get(key, offset, length, ""))[1]

    @contextmanager
    def moving(self, byte_count: int) -> Iterator[None]:
        """Wait for the process's turn to move bytes, where the settings bound its bandwidth."""
        if not self.settings.max_mib_per_s:
            yield
            return
        limits = limits_of(self.settings, os.getpid())
        with limits.operating():
            yield
        limits.charge(byte_count)

    def key_of(self, path: bytes) -> str:
        """The key of an object by its path in a snapshot.

        Raises:
            MetaDamaged: it is that of no object of this bucket.
        """
        if not path.startswith(self._top):
            raise MetaDamaged(path, "a stored path is that of no object")
        return unescape(path[len(self._top) :])

    def _page(self, prefix: str, page: int, start: dict[str, str], _: int) -> Mapping[str, Any]:
        with translated("listing", self.place, forget_clients):
            found: Mapping[str, Any] = self.client.list_objects_v2(
                **self.named, Prefix=prefix, MaxKeys=page, **start
            )
            return found

    def _get(self, key: str, offset: int, length: int, etag: str) -> tuple[dict[str, Any], memoryview]:
        condition = {"IfMatch": etag} if etag else {}
        # An empty object has no ranges.
        span = {"Range": f"bytes={offset}-{offset + length - 1}"} if length else {}
        with self._about(key):
            answer = self.client.get_object(**self.named, Key=key, **span, **condition)
            try:
                here = self._sound(key, answer, offset, length, etag)
            except BaseException:
                answer["Body"].close()
                raise
            data = memoryview(bytearray(here))
            with self.moving(here):
                fill(answer["Body"], data, self.settings.read_timeout_s)
        return answer, data

    def _sound(self, key: str, answer: dict[str, Any], offset: int, length: int, etag: str) -> int:
        """How many bytes an answer brings, once it is one to the question: that object, from there, so many.

        Raises:
            Replaced: it is another object than the one of that ETag, or it was shortened.
            StoreUnsupported: other bytes than were asked for.
        """
        begins, size = content_range(answer)
        if begins != (offset if length else 0):
            raise StoreUnsupported(
                f"{self.place.shown}: the server does not read ranges", remedy="use another server"
            )
        here = whole_number(answer["ContentLength"])
        # Servers ignore conditions that they do not know: what came is looked at, not what was asked for.
        if (etag and answer["ETag"] != etag) or here != min(length, size - offset):
            raise Replaced(path_of(self.place.bucket, key), _REPLACED)
        return here

    def _head(self, key: str, answer: dict[str, Any]) -> Head:
        tags, warnings = self._tags(key, answer)
        with self._about(key):
            if answer.get("MissingMeta"):
                warnings += (
                    f"{answer['MissingMeta']} of its metadata cannot be told by S3 and are left out",
                )
            meta = encode(_meta_of(key, answer, tags))
            decode(meta, path_of(self.place.bucket, key))  # what no restore would take
            _, size = content_range(answer)
            stamp = stamp_of(Listed(key, size, answer["ETag"], int(answer["LastModified"].timestamp())))
            return Head(answer["ETag"], size, stamp, meta, warnings)

    def _tags(self, key: str, answer: dict[str, Any]) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
        """A request of its own, so only for what has tags; without the right to it the object is kept all the same."""
        if not answer.get("TagCount"):
            return [], ()
        version = {"VersionId": answer["VersionId"]} if answer.get("VersionId", "null") != "null" else {}
        try:
            with self._about(key):
                found = self.client.get_object_tagging(**self.named, Key=key, **version)
                return sorted((each["Key"], each["Value"]) for each in found["TagSet"]), ()
        except Unreadable as error:
            return [], (f"its {answer['TagCount']} tags are not kept: it {error.message}",)

    @contextmanager
    def _about(self, key: str) -> Iterator[None]:
        """Errors of one object, by its path; words of the server, which may hold its key, are not passed on."""
        path = path_of(self.place.bucket, key)
        try:
            with translated("an object", self.place, forget_clients):
                yield
        except ObjectMissing:
            raise Vanished(path, _GONE) from None
        except (ObjectExists, ObjectDamaged):
            raise Replaced(path, _REPLACED) from None
        except StoreError as error:
            code = code_of(error.__cause__) if isinstance(error.__cause__, ClientError) else ""
            rule = CODES.get(code)
            if in_our_words(error):
                raise
            if isinstance(error, StoreUnreachable | StoreMissing) or not code:
                what = code or type(error.__cause__ or error).__name__
                raise type(error)(
                    f"{self.place.shown}: cannot be read: {what}", remedy=error.remedy
                ) from None
            if rule is not None and rule.about_credentials:
                raise
            raise Unreadable(path, _refusal(code, error), remedy=error.remedy) from None


def stamp_of(found: Listed) -> bytes:
    """32 bytes that stay the same as long as an object does.

    The tags are no part of it: S3 does not say in a listing that they changed.
    """
    return blake3(f"{found.etag}\0{found.size}\0{found.modified_s}".encode()).digest()


def _refusal(code: str, error: StoreError) -> str:
    if code == _ARCHIVED:
        return "is archived, and has to be restored to a class that can be read"
    if code in _KEYLESS and "ncryption" in str(error.__cause__):
        return "is encrypted under a key that is not in S3 (SSE-C), and is left out"
    if isinstance(error, StoreDenied):
        return f"may not be read ({code})"
    return f"cannot be read ({code})"


def _meta_of(key: str, answer: dict[str, Any], tags: list[tuple[str, str]]) -> ObjectMeta:
    version = answer.get("VersionId", "")
    return ObjectMeta(
        key=key,
        version="" if version == "null" else version,
        etag=answer["ETag"],
        modified_ms=int(answer["LastModified"].timestamp()) * 1000,
        storage_class=answer.get("StorageClass", ""),
        content_type=answer.get("ContentType", ""),
        content_encoding=answer.get("ContentEncoding", ""),
        content_disposition=answer.get("ContentDisposition", ""),
        content_language=answer.get("ContentLanguage", ""),
        cache_control=answer.get("CacheControl", ""),
        expires=answer.get("ExpiresString", ""),
        redirect=answer.get("WebsiteRedirectLocation", ""),
        metadata=sorted(answer.get("Metadata", {}).items()),
        tags=tags,
    )
