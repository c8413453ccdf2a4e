"""Writing objects: each appears under its key whole or not at all, and takes no other's place unless that is wanted.

What S3 is told of an object is what it once said of it: type, language and the like, the user's metadata, tags, storage
class. Version ids and times are S3's own and cannot be given back.
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from repository.errors import (
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnreachable,
)
from repository.s3.client import forget_clients
from repository.s3.errors import CODES, code_of, translated
from repository.s3.pages import few
from repository.s3.transfer import crc32
from sources.s3.bucket import Bucket
from sources.s3.metadata import ObjectMeta
from sources.source import SourceError, TargetFull, Unwritable

PART: Final = 8 << 20
"""Bytes of an upload's parts, unless there would be too many of them."""
MAX_PARTS: Final = 9_999

_NO_UPLOAD: Final = "NoSuchUpload"
T = TypeVar("T")


def part_size(size: int) -> int:
    """Bytes of each part of an object of `size` bytes; only the last part may have fewer."""
    return max(PART, -(-size // MAX_PARTS))


class ObjectWriter:
    """Writes objects of one bucket; may be used by several threads.

    Args:
        bucket: reached with the credentials of whoever restores.
        overwrite: whether an object that is there is replaced.
    """

    def __init__(self, bucket: Bucket, *, overwrite: bool) -> None:
        self._bucket = bucket
        self._new = {} if overwrite else {"IfNoneMatch": "*"}

    def put(self, path: bytes, key: str, meta: ObjectMeta, data: bytes) -> list[str]:
        """Write a whole object.

        Args:
            path: what it is called in errors.

        Returns:
            What of its metadata could not be restored, in words.

        Raises:
            SourceError: it could not be written.
            StoreError: nothing can be written there.
        """

        def attempt(number: int, described: dict[str, Any]) -> None:
            try:
                with self._about(path), self._bucket.moving(len(data)):
                    self._bucket.client.put_object(
                        **self._bucket.named, Key=key, Body=data, ChecksumCRC32=crc32([memoryview(data)]),
                        **self._new, **described,
                    )  # fmt: skip
            except _Taken:
                # After an answer that was lost, it may be taken by ourselves.
                if not number or not self._holds(key, data):
                    raise

        return self._described(meta, attempt)[1]

    def begin(self, path: bytes, key: str, meta: ObjectMeta) -> tuple[str, list[str]]:
        """Begin an upload in parts; nothing is seen of it before `complete`.

        Returns:
            Its id, and what of its metadata could not be restored, in words.

        Raises:
            SourceError, StoreError: as `put`.
        """

        def attempt(number: int, described: dict[str, Any]) -> str:
            with self._about(path):
                answer = self._bucket.client.create_multipart_upload(
                    **self._bucket.named, Key=key, **described
                )
                return str(answer["UploadId"])

        return self._described(meta, attempt)

    def send(self, path: bytes, key: str, upload: str, number: int, data: bytes) -> None:
        """Send part `number` of an upload, counted from 1; a part of that number is replaced.

        Raises:
            SourceError, StoreError: as `put`.
        """
        # Who completes the upload may be another process, and servers do not list the newer checksums of parts.
        digest = b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()

        def attempt(_: int) -> None:
            with self._about(path), self._bucket.moving(len(data)):
                self._bucket.client.upload_part(
                    **self._bucket.named,
                    Key=key,
                    UploadId=upload,
                    PartNumber=number,
                    Body=data,
                    ContentMD5=digest,
                )

        self._bucket.policy.run(attempt)

    def complete(self, path: bytes, key: str, upload: str, size: int) -> None:
        """Give an upload its key, if its parts are `size` bytes.

        Raises:
            SourceError: they are not, the key is taken, or the object could not be written.
            StoreError: as `put`.
        """
        parts = self._bucket.policy.run(lambda _: self._parts(path, key, upload))
        if sum(part.pop("Size") for part in parts) != size:
            raise Unwritable(path, "some of its parts did not arrive")

        etag = _etag_of(parts)

        def attempt(number: int) -> None:
            try:
                with self._about(path):
                    self._bucket.client.complete_multipart_upload(
                        **self._bucket.named,
                        Key=key,
                        UploadId=upload,
                        MultipartUpload={"Parts": parts},
                        **self._new,
                    )
            except (_Taken, StoreUnreachable) as error:
                if not number or not (isinstance(error, _Taken) or _code(error) == _NO_UPLOAD):
                    raise
                # The answer to an attempt before was lost, and it may have succeeded.
                if not etag or self._etag(key) != etag:
                    raise Unwritable(path, "it is not known whether it was written") from None

        self._bucket.policy.run(attempt)

    def abort(self, key: str, upload: str) -> None:
        """Remove what there is of an upload; gone already is fine.

        Raises:
            StoreError: it stays, unseen, until a rule of the bucket removes it.
        """

        def attempt(_: int) -> None:
            try:
                with translated("an upload", self._bucket.place, forget_clients):
                    self._bucket.client.abort_multipart_upload(**self._bucket.named, Key=key, UploadId=upload)
            except StoreUnreachable as error:
                if _code(error) != _NO_UPLOAD:
                    raise

        self._bucket.policy.run(attempt)

    def _parts(self, path: bytes, key: str, upload: str) -> list[dict[str, Any]]:
        with self._about(path):
            pages = self._bucket.client.get_paginator("list_parts")
            return [
                {"PartNumber": each["PartNumber"], "ETag": each["ETag"], "Size": each["Size"]}
                for page in few(
                    pages.paginate(**self._bucket.named, Key=key, UploadId=upload), self._bucket.place.shown
                )
                for each in page.get("Parts", ())
            ]

    def _described(
        self, meta: ObjectMeta, attempt: Callable[[int, dict[str, Any]], T]
    ) -> tuple[T, list[str]]:
        """Try with all metadata, and without tags if those are what may not be written."""
        described, notes = _arguments(meta)
        try:
            return self._bucket.policy.run(lambda number: attempt(number, described)), notes
        except _Denied:
            if described.pop("Tagging", None) is None:
                raise
        notes.append(f"its {len(meta.tags)} tags are not restored: they may not be written (AccessDenied)")
        return self._bucket.policy.run(lambda number: attempt(number, described)), notes

    def _etag(self, key: str) -> str:
        try:
            head, _ = self._bucket.read(key, 0, 1)
        except SourceError:
            return ""
        return "" if head is None else head.etag

    def _holds(self, key: str, data: bytes) -> bool:
        try:
            head, found = self._bucket.read(key, 0, len(data))
        except SourceError:
            return False
        return head is not None and head.size == len(data) and found == data

    @contextmanager
    def _about(self, path: bytes) -> Iterator[None]:
        """Errors of one object by its path; without the server's words, which may hold its key."""
        try:
            with translated("an object", self._bucket.place, forget_clients):
                yield
        except ObjectExists:
            raise _Taken(path, "there is an object of that key already") from None
        except ObjectMissing:
            raise Unwritable(path, "its upload is gone") from None
        except StoreFull as error:
            raise TargetFull(path, "the target is full", remedy=error.remedy) from None
        except StoreUnreachable:
            raise
        except StoreError as error:
            code = _code(error)
            rule = CODES.get(code)
            if not code or (rule is not None and rule.about_credentials):
                raise
            kind = _Denied if isinstance(error, StoreDenied) else Unwritable
            raise kind(path, f"cannot be written ({code})", remedy=error.remedy) from None


class _Taken(Unwritable):
    """There is an object of that key."""


class _Denied(Unwritable):
    """It may not be written, as it is described."""


def _code(error: StoreError) -> str:
    return code_of(error.__cause__) if isinstance(error.__cause__, ClientError) else ""


def _etag_of(parts: Sequence[dict[str, Any]]) -> str:
    """The ETag of an object that was uploaded in such parts, where S3 makes it of the parts' MD5; else none."""
    try:
        sums = b"".join(bytes.fromhex(part["ETag"].strip('"')) for part in parts)
    except ValueError:
        return ""
    return f'"{hashlib.md5(sums, usedforsecurity=False).hexdigest()}-{len(parts)}"'


def _arguments(meta: ObjectMeta) -> tuple[dict[str, Any], list[str]]:
    """What an upload says of an object; and what it cannot say, in words."""
    notes: list[str] = []
    given: dict[str, Any] = {
        "ContentType": meta.content_type,
        "ContentEncoding": meta.content_encoding,
        "ContentDisposition": meta.content_disposition,
        "ContentLanguage": meta.content_language,
        "CacheControl": meta.cache_control,
        "WebsiteRedirectLocation": meta.redirect,
        "StorageClass": meta.storage_class,
        "Tagging": urlencode(meta.tags),
        "Metadata": {name: value for name, value in meta.metadata if name.isascii() and value.isascii()},
    }
    if len(given["Metadata"]) < len(meta.metadata):
        notes.append("metadata that is not ASCII is not restored: S3 does not take it")
    if meta.expires:
        try:
            given["Expires"] = parsedate_to_datetime(meta.expires)
        except ValueError:
            notes.append(f"Expires {meta.expires!a} is not restored: it is no date")
    return {name: value for name, value in given.items() if value}, notes
