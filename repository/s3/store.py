"""A repository in a bucket: the object store for S3 (docs/format.md, "In S3").

An object appears whole or not at all, and only under a name that is free: every create is conditional
(`If-None-Match: *`), also the one that ends an upload in parts. Every request has a time limit of seconds and is made
once; the pieces of a large transfer are tried again one by one, all else by the decorators of `repository.retry`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError
from typing_extensions import Buffer

from config.settings import StoreSettings
from repository import layout
from repository.errors import (
    ObjectDamaged,
    StoreError,
    StoreUnreachable,
    StoreUnsupported,
)
from repository.place import S3Place
from repository.retry import RetryPolicy
from repository.s3.client import client_of, forget_clients
from repository.s3.errors import code_of, translated
from repository.s3.pages import Entry, few, listed
from repository.s3.transfer import (
    PART,
    PIECE,
    SMALL,
    WHOLE,
    Body,
    content_range,
    crc32,
    cut,
    fill,
    flat,
    in_parallel,
    whole_number,
)
from repository.store import Version, check_name, check_prefix, check_within

_LISTED: Final = 1000
"""Names in one answer: no server gives more."""
_AHEAD: Final = 0.75
"""A lock of which so much is still ahead is not extended: extending costs a request for each object."""


class S3Reader:
    """Reads a repository in a bucket.

    Args:
        place: where.
        settings: timeouts and how much at once.
        policy: how long the pieces of a large transfer are tried again.
    """

    def __init__(self, place: S3Place, settings: StoreSettings, policy: RetryPolicy) -> None:
        self._place = place
        self._settings = settings
        self._policy = policy
        self._prefix = f"{place.prefix}/" if place.prefix else ""
        self._bucket = {"Bucket": place.bucket} | (
            {"ExpectedBucketOwner": place.owner} if place.owner else {}
        )

    def get(self, name: str, limit: int) -> bytes:
        """See ReadStore; what is larger than `limit` is refused before it is read."""
        with self._translated(name):
            answer = self._client.get_object(**self._at(name))
            size = whole_number(answer["ContentLength"])
            if size > limit:
                answer["Body"].close()
                raise ObjectDamaged(f"{name} has {size} bytes, more than the {limit} that its kind may have")
            out = bytearray(size)
            fill(answer["Body"], memoryview(out), self._settings.read_timeout_s)
            return bytes(out)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """See ReadStore."""
        check_name(name)
        if length > PIECE or length < 1 or offset < 0:
            # Before the buffer is made, so that no length can ask for all memory.
            check_within(name, offset, length, self.size(name))
        out = bytearray(length)
        if length:
            self.read_into(name, offset, memoryview(out))
        return bytes(out)

    def read_into(self, name: str, offset: int, out: memoryview) -> None:
        """See ReadStore. What is large is read in pieces, side by side."""
        check_name(name)
        if not out or offset < 0:
            check_within(name, offset, len(out), self.size(name))
            return
        if len(out) <= 2 * PIECE:
            self._read_piece(name, offset, out)
            return
        pieces = [(start, out[start : start + PIECE]) for start in range(0, len(out), PIECE)]
        in_parallel(
            [partial(self._read_again, name, offset + start, piece) for start, piece in pieces],
            self._settings.parallel,
        )

    def size(self, name: str) -> int:
        """See ReadStore."""
        with self._translated(name):
            try:
                return whole_number(self._client.head_object(**self._at(name))["ContentLength"])
            except ClientError as error:
                if code_of(error).isdigit():
                    # An answer to HEAD has no words: a listing fails for the same reason, and says it.
                    self._client.list_objects_v2(**self._bucket, Prefix=self._key(name), MaxKeys=1)
                raise

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """See ReadStore. One request for each thousand names, made when they are due."""
        check_prefix(prefix)
        return (name for name, _ in self._entries(prefix, after))

    def sizes(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """See ReadStore. As `list`: the answers have the sizes."""
        check_prefix(prefix)
        for name, entry in self._entries(prefix, after):
            with self._translated(name):
                size = whole_number(entry.get("Size"))
            yield name, size

    def _entries(self, prefix: str, after: str) -> Iterator[tuple[str, Entry]]:
        last = self._prefix + after if after else ""
        start = {"StartAfter": last} if last else {}
        for found in listed(partial(self._page, prefix), start, self._place.shown):
            for key, entry in zip(self._keys(prefix, found), found, strict=True):
                if key <= last:
                    raise StoreUnsupported(
                        f"{self._place.shown}: the server does not list names in ascending order",
                        remedy="use a general purpose bucket",
                    )
                last = key
                name = key.removeprefix(self._prefix)
                if _is_object(name):
                    yield name, entry

    def _page(self, prefix: str, more: dict[str, str]) -> Mapping[str, Any]:
        with self._translated(prefix or "listing"):
            found: Mapping[str, Any] = self._client.list_objects_v2(
                **self._bucket, Prefix=self._prefix + prefix, MaxKeys=_LISTED, **more
            )
            return found

    def _keys(self, prefix: str, found: Sequence[Entry]) -> Sequence[str]:
        with self._translated(prefix or "listing"):
            keys = [entry["Key"] for entry in found]
        if not all(key.startswith(self._prefix + prefix) for key in keys):
            raise StoreUnsupported(
                f"{self._place.shown}: the server lists names that were not asked for",
                remedy="use another server",
            )
        return keys

    def versions(self, prefix: str) -> Sequence[Version]:
        """See ReadStore. One request for each thousand versions and delete markers.

        Raises:
            StoreUnsupported: the server does not say how the listing goes on.
        """
        check_prefix(prefix)
        found: list[Version] = []
        start: dict[str, str] = {}
        while True:
            with self._translated(prefix or "listing"):
                answer = self._client.list_object_versions(
                    **self._bucket, Prefix=self._prefix + prefix, MaxKeys=_LISTED, **start
                )
                for entry in (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ())):
                    name = entry["Key"].removeprefix(self._prefix)
                    if _is_object(name):
                        time_s = entry["LastModified"].timestamp()
                        found.append(Version(name, time_s, entry.get("Size", -1), entry["IsLatest"]))
            if not answer.get("IsTruncated"):
                break
            following = {
                "KeyMarker": str(answer.get("NextKeyMarker", "")),
                "VersionIdMarker": str(answer.get("NextVersionIdMarker", "")),
            }
            if following == start or not following["KeyMarker"]:
                raise StoreUnsupported(
                    f"{self._place.shown}: a listing of versions does not go on", remedy="use another server"
                )
            start = following
        return found

    @property
    def _client(self) -> Any:
        return client_of(self._place, self._settings)

    def _translated(self, name: str) -> AbstractContextManager[None]:
        return translated(name, self._place, forget_clients)

    def _key(self, name: str) -> str:
        check_name(name)
        return self._prefix + name

    def _at(self, name: str) -> dict[str, str]:
        return {**self._bucket, "Key": self._key(name)}

    def _read_again(self, name: str, offset: int, out: memoryview) -> None:
        self._policy.run(lambda _: self._read_piece(name, offset, out))

    def _read_piece(self, name: str, offset: int, out: memoryview) -> None:
        with self._translated(name):
            wanted = f"bytes={offset}-{offset + len(out) - 1}"
            answer = self._client.get_object(**self._at(name), Range=wanted)
            begins, size = content_range(answer)
            if begins != offset or size < offset + len(out):
                answer["Body"].close()
            if begins != offset:
                raise StoreUnsupported(
                    f"{self._place.shown}: the server does not read ranges", remedy="use another server"
                )
            check_within(name, offset, len(out), size)
            fill(answer["Body"], out, self._settings.read_timeout_s)


class S3Writer(S3Reader):
    """Reads and creates. With `create`, looks first whether a vault can be made there.

    Raises:
        StoreMissing, StoreDenied, StoreUnsupported: it cannot.
    """

    def __init__(
        self, place: S3Place, settings: StoreSettings, policy: RetryPolicy, *, create: bool = False
    ) -> None:
        super().__init__(place, settings, policy)
        self._sealing = _server_side(place)
        if create:
            policy.run(lambda _: self._require_usable())

    def put(self, name: str, parts: Sequence[Buffer]) -> None:
        """See WriteStore. What is large is sent in parts, side by side."""
        views = flat(parts)
        if sum(map(len, views)) < WHOLE:
            self._put_whole(name, views)
        else:
            self._put_in_parts(name, views)

    def _put_whole(self, name: str, views: Sequence[memoryview]) -> None:
        size = sum(map(len, views))
        with self._translated(name):
            self._client.put_object(
                **self._at(name),
                Body=b"".join(views) if size <= SMALL else Body(views),
                ContentLength=size,
                ChecksumCRC32=crc32(views),
                IfNoneMatch="*",
                **self._sealing,
                **self._kept(name),
            )

    def _put_in_parts(self, name: str, views: Sequence[memoryview]) -> None:
        with self._translated(name):
            upload = self._client.create_multipart_upload(
                **self._at(name),
                ChecksumAlgorithm="CRC32",
                ChecksumType="COMPOSITE",
                **self._sealing,
                **self._kept(name),
            )["UploadId"]
        try:
            sent = in_parallel(
                [
                    partial(self._send_again, name, upload, number, piece)
                    for number, piece in enumerate(cut(views, PART), 1)
                ],
                self._settings.parallel,
            )
            self._complete(name, upload, sent)
        except BaseException:
            # What stays behind all the same is swept later.
            with suppress(StoreError), self._translated(name):
                self._client.abort_multipart_upload(**self._at(name), UploadId=upload)
            raise

    def _send_again(self, name: str, upload: str, number: int, piece: Sequence[memoryview]) -> dict[str, Any]:
        return self._policy.run(lambda _: self._send_part(name, upload, number, piece))

    def _send_part(self, name: str, upload: str, number: int, piece: Sequence[memoryview]) -> dict[str, Any]:
        checksum = crc32(piece)
        with self._translated(name):
            answer = self._client.upload_part(
                **self._at(name),
                UploadId=upload,
                PartNumber=number,
                Body=Body(piece),
                ContentLength=sum(map(len, piece)),
                ChecksumCRC32=checksum,
            )
            return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": checksum}

    def _complete(self, name: str, upload: str, sent: Sequence[dict[str, Any]]) -> None:
        """Give the upload its name.

        Raises:
            ObjectExists: the name is taken.
            StoreUnreachable: no answer; or, after one was lost, the upload is gone or the name taken: perhaps by
                ourselves, which is for the caller to find out.
        """

        def attempt(number: int) -> bool:
            with self._translated(name):
                try:
                    self._client.complete_multipart_upload(
                        **self._at(name),
                        UploadId=upload,
                        MultipartUpload={"Parts": list(sent)},
                        IfNoneMatch="*",
                    )
                except ClientError as error:
                    if number and code_of(error) in {"NoSuchUpload", "PreconditionFailed"}:
                        return False
                    raise
            return True

        if not self._policy.run(attempt):
            raise StoreUnreachable(f"{name}: it is not known whether the upload succeeded")

    def _kept(self, name: str) -> dict[str, Any]:
        """Storage class of packs, and the lock of all that outlives its job."""
        arguments: dict[str, Any] = {}
        if self._place.storage_class and name.startswith(layout.PACKS):
            arguments["StorageClass"] = self._place.storage_class
        if self._place.lock and not name.startswith(layout.JOBS):
            arguments["ObjectLockMode"] = self._place.lock.upper()
            arguments["ObjectLockRetainUntilDate"] = self._retained_until()
        return arguments

    def _retained_until(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._place.retention_s)

    def _require_usable(self) -> None:
        with self._translated("looking at the bucket"):
            self._client.list_objects_v2(**self._bucket, Prefix=self._prefix, MaxKeys=1)
            if self._place.lock:
                self._client.get_object_lock_configuration(**self._bucket)


class S3Pruner(S3Writer):
    """Reads, creates and removes. In a versioned bucket removing hides an object; a rule of the bucket ends it."""

    def delete(self, name: str) -> None:
        """See PruneStore."""
        with self._translated(name):
            self._client.delete_object(**self._at(name))

    def extend(self, name: str) -> bool:
        """See PruneStore."""
        with self._translated(name):
            if not self._place.lock:
                self.size(name)
                return False
            found = self._client.head_object(**self._at(name))
            until = found.get("ObjectLockRetainUntilDate")
            mode = self._place.lock.upper()
            enough = datetime.now(UTC) + timedelta(seconds=self._place.retention_s * _AHEAD)
            if until is not None and until >= enough and found.get("ObjectLockMode") in {mode, "COMPLIANCE"}:
                return False
            # A compliance lock is never loosened, whatever the URI says by now.
            mode = found.get("ObjectLockMode") if found.get("ObjectLockMode") == "COMPLIANCE" else mode
            self._client.put_object_retention(
                **self._at(name), Retention={"Mode": mode, "RetainUntilDate": self._retained_until()}
            )
            return True

    def sweep(self, older_than_s: float) -> int:
        """See PruneStore: uploads in parts that were never completed."""
        limit = datetime.now(UTC) - timedelta(seconds=older_than_s)
        removed = 0
        with self._translated("unfinished uploads"):
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in few(pages.paginate(**self._bucket, Prefix=self._prefix), self._place.shown):
                for upload in page.get("Uploads", ()):
                    if upload["Initiated"] < limit:
                        self._client.abort_multipart_upload(
                            **self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                        )
                        removed += 1
        return removed


def _is_object(name: str) -> bool:
    """Whether it is none of those that consoles make to look like folders."""
    return not name.endswith("/") and not name.startswith(".") and "/." not in name


def _server_side(place: S3Place) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if place.sse:
        arguments["ServerSideEncryption"] = place.sse
    if place.sse_kms_key:
        arguments["SSEKMSKeyId"] = place.sse_kms_key
    if place.sse == "aws:kms":
        # One call to the KMS for many objects in place of one for each.
        arguments["BucketKeyEnabled"] = True
    return arguments
