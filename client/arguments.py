"""Words on the command line, made into values; what means nothing is refused before anything is started."""

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from client.errors import BadArgument, MissingPath
from config.keep import read_tags
from config.queues import is_host
from crypto.job import MILLIONTHS, SnapshotFilter, Subset
from repository.errors import StoreUnsupported
from repository.place import S3Place, parse_place
from sources.patterns import PatternError, Patterns
from sources.s3.names import ROOT
from sources.s3.place import BucketPath, NotAPlace, is_bucket, parse

LATEST = "latest"
MIN_PREFIX = 4
_SNAPSHOT = re.compile(r"[0-9a-f]{4,32}")
_ID = re.compile(r"[0-9a-f]{32}")
_VAULT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KMS = re.compile(r"local-kms://[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_AWS_KMS = re.compile(r"aws-kms://arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-z-]+(\?[!-~]+)?")
_MAX_KMS_URI = 2048
_MOMENTS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y/%m/%d")


_PART = re.compile(r"([0-9]{1,7})/([0-9]{1,7})")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)%")
_SIZE = re.compile(r"([0-9]{1,15})([KMGT])")


class SnapshotPath(NamedTuple):
    """`SNAPSHOT[:PATH]`; `path` is absolute, or empty for the whole snapshot."""

    snapshot: str
    path: bytes


def snapshot_name(text: str) -> str:
    """An id, the beginning of one, or `latest`.

    Raises:
        BadArgument: none of them.
    """
    if text != LATEST and not _SNAPSHOT.fullmatch(text):
        raise BadArgument(
            f"{text!r} is not a snapshot",
            remedy=f"give an id, at least {MIN_PREFIX} digits of one, or {LATEST}",
        )
    return text


def inner_path(text: str) -> bytes:
    """A path in a snapshot, absolute or the URI of objects; empty for all of it.

    Raises:
        BadArgument: it is neither.
    """
    path = _path_inside(text, "write an absolute path")
    return b"" if path == b"/" else path


def snapshot_path(text: str) -> SnapshotPath:
    """Read `SNAPSHOT[:PATH]`; PATH may be the URI of objects, `s3://bucket/prefix`.

    Raises:
        BadArgument: neither an id, nor a prefix of one, nor `latest`; or the path is not absolute.
    """
    snapshot, _, path = text.partition(":")
    snapshot_name(snapshot)
    inside = _path_inside(path, "write SNAPSHOT:/absolute/path") if path else b""
    return SnapshotPath(snapshot, b"" if inside == b"/" else inside)


def _path_inside(text: str, remedy: str) -> bytes:
    if is_bucket(text):
        return _place(text).path
    if not text.startswith("/") or "\0" in text:
        raise BadArgument(f"{text!r} is not a path in a snapshot", remedy=remedy)
    return os.fsencode("/" + posixpath.normpath(text).lstrip("/"))


def read_subset(text: str) -> Subset:
    """Read which packs a check is to read: `N/T`, `P%` or a size with K, M, G or T for powers of 1024.

    A bare number is none: who writes 5 means 5 %, or does not know.

    Raises:
        BadArgument: none of these, or nothing.
    """
    if found := _PART.fullmatch(text):
        part, parts = map(int, found.groups())
        if 1 <= part <= parts <= MILLIONTHS:
            return Subset(part=part, parts=parts)
    elif found := _PERCENT.fullmatch(text):
        share = round(float(found[1]) * MILLIONTHS / 100)
        if 1 <= share <= MILLIONTHS:
            return Subset(share=share)
    elif found := _SIZE.fullmatch(text):
        size = int(found[1]) << 10 * " KMGT".index(found[2])
        if 1 <= size < 1 << 63:
            return Subset(size=size)
    raise BadArgument(
        f"{text!r} does not say which data to read",
        remedy="give a part such as 1/10, a percentage such as 5%, or a size such as 50G",
    )


def source_paths(texts: tuple[str, ...], *, here: bool) -> tuple[bytes, ...]:
    """Paths to back up, made absolute without following links.

    Args:
        here: whether the backup workers are on this machine, so that a path can be looked at now.

    Raises:
        BadArgument: one of them is empty, as an unset variable makes it.
        MissingPath: one of them is not there.
    """
    if not all(texts):
        raise BadArgument("an empty path to back up", remedy="name a file or folder; '.' is this folder")
    paths = tuple(os.path.abspath(os.fsencode(text)) for text in texts)
    for path in paths:
        if here and not os.path.lexists(path):
            raise MissingPath(
                f"there is no {os.fsdecode(path)!r} to back up",
                remedy="check the path; nothing was backed up",
            )
    return paths


def paths_elsewhere(texts: tuple[str, ...], host: str) -> tuple[bytes, ...]:
    """Paths to back up on another host; nothing here says whether they are there.

    Raises:
        BadArgument: one is not absolute.
    """
    for text in texts:
        if not text.startswith("/") or "\0" in text:
            raise BadArgument(
                f"{text!r} is not an absolute path on {host}", remedy="write the path as it is on that host"
            )
    return tuple(os.fsencode("/" + posixpath.normpath(text).lstrip("/")) for text in texts)


def bucket_paths(texts: tuple[str, ...]) -> tuple[bytes, ...]:
    """The URIs of objects to back up, each in the one form that it can have; empty when the paths are files'.

    Raises:
        BadArgument: one of them names no objects, or only some are URIs.
    """
    if not any(map(is_bucket, texts)):
        return ()
    if not all(map(is_bucket, texts)):
        raise BadArgument(
            "files and objects do not go into one snapshot", remedy="make a backup of each on its own"
        )
    return tuple(os.fsencode(_place(text).uri) for text in texts)


def bucket_target(text: str, *, overwrite: bool) -> BucketPath | None:
    """Where in a bucket to restore to; None for a folder.

    Raises:
        BadArgument: a URI that names no place in a bucket, or `overwrite` for a folder.
    """
    if not is_bucket(text):
        if overwrite:
            raise BadArgument(
                "a folder is never overwritten", remedy="leave out --overwrite, and choose a new folder"
            )
        return None
    return _place(text)


def _place(text: str) -> BucketPath:
    try:
        return parse(text)
    except NotAPlace as error:
        raise BadArgument(error.message, remedy=error.remedy) from error


def snapshot_filter(
    hosts: Sequence[str], tags: Sequence[str], paths: Sequence[str], snapshot: str = LATEST
) -> SnapshotFilter:
    """Which snapshots may be meant: `--host`, `--tag` (`a,b` for both) and `--path` as restic reads them.

    Raises:
        BadArgument: a path is not absolute, a tag empty; or `snapshot` is an id, among which there is no choice.
    """
    if snapshot != LATEST and (hosts or tags or paths):
        raise BadArgument(
            "--host, --tag and --path choose among snapshots, and one is named",
            remedy=f"leave them out, or write {LATEST}",
        )
    try:
        groups = read_tags(tags)
    except ValueError as error:
        raise BadArgument(
            "an empty tag", remedy="write --tag TAG, or --tag TAG,TAG for both together"
        ) from error
    roots = tuple(_path_inside(path, "write --path /absolute/path, or a URI") for path in paths)
    return SnapshotFilter(tuple(hosts), groups, roots)


def require_objects(snapshots: Sequence[Mapping[str, Any]], wanted: str, path: bytes = b"") -> None:
    """Refuse to restore a snapshot of files to a bucket; one that is not known is for the workers to name.

    Args:
        snapshots: that may be meant, oldest first.
        wanted: an id, a prefix of one, or `latest`.
        path: in it; of those that have it, `latest` is the newest.

    Raises:
        BadArgument: it is one.
    """
    if wanted == LATEST and path:
        paths = [os.fsdecode(path)]
    else:
        found = (
            snapshots[-1:] if wanted == LATEST else [s for s in snapshots if str(s["id"]).startswith(wanted)]
        )
        paths = [str(each) for snapshot in found for each in snapshot.get("paths", ())]
    if any(not (each + "/").startswith(os.fsdecode(ROOT) + "/") for each in paths):
        raise BadArgument(
            "this snapshot is of files: only what was backed up from a bucket is restored to one",
            remedy="restore it to a folder, and copy that",
        )


def moment(text: str) -> int:
    """A date, or a date and a time, of this machine's time zone, as nanoseconds since 1970.

    Raises:
        BadArgument: neither.
    """
    for form in _MOMENTS:
        try:
            return int(datetime.strptime(text, form).astimezone().timestamp()) * 1_000_000_000
        except (ValueError, OverflowError, OSError):
            continue
    raise BadArgument(f"{text!r} is not a date", remedy='write 2026-01-31, or "2026-01-31 15:04:05"')


def host_name(text: str) -> str:
    """The name of a host with workers of its own, or nothing.

    Raises:
        BadArgument: not small letters, digits, dots and dashes, or too long.
    """
    if text and not is_host(text):
        raise BadArgument(
            f"{text!r} is not a name for a host", remedy="use up to 63 small letters, digits, dots and dashes"
        )
    return text


def patterns(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Patterns as given, parsed once so that a bad one is refused here.

    Raises:
        BadArgument: one of them means nothing.
    """
    try:
        Patterns.parse(texts)
    except PatternError as error:
        raise BadArgument(error.message, remedy=error.remedy) from error
    return texts


def vault_name(text: str) -> str:
    """A name for a vault.

    Raises:
        BadArgument: not letters, digits, dots, dashes and underscores, or too long.
    """
    if not _VAULT_NAME.fullmatch(text):
        raise BadArgument(
            f"{text!r} is not a name for a vault", remedy="use up to 64 letters, digits, dots and dashes"
        )
    return text


def opaque_id(text: str) -> bytes:
    """The id of a vault or of a tenant, 16 bytes, from its hex digits.

    Raises:
        BadArgument: not 32 of them.
    """
    if not _ID.fullmatch(text):
        raise BadArgument(f"{text!r} is not an id", remedy="give its 32 hex digits")
    return bytes.fromhex(text)


def repository_uri(text: str) -> str:
    """The URI of a repository, normalised: `s3://bucket/prefix?options`, `file:///path`; a path is made into one.

    Raises:
        BadArgument: a scheme that this release does not have, or no place.
    """
    if text.startswith("s3:"):
        try:
            return parse_place(text).uri
        except StoreUnsupported as error:
            raise BadArgument(error.message, remedy=error.remedy) from error
    parts = urlsplit(text)
    if (
        parts.scheme not in ("", "file")
        or parts.netloc not in ("", "localhost")
        or parts.query
        or parts.fragment
    ):
        raise BadArgument(
            f"{text!r} is not the URI of a repository", remedy="write file:///path or s3://bucket/prefix"
        )
    path = unquote(parts.path) if parts.scheme else text
    if not path or "\0" in path:
        raise BadArgument(f"{text!r} names no folder", remedy="write file:///path")
    return Path(os.path.abspath(path)).as_uri()


def kms_uri(text: str) -> str:
    """The URI of a CMK.

    Raises:
        BadArgument: no KMS of this release, or no name or ARN. Options of AWS are the key-broker's to judge.
    """
    if text.startswith("aws-kms://"):
        if len(text) > _MAX_KMS_URI or not _AWS_KMS.fullmatch(text):
            raise BadArgument(
                f"{text!r} is not the URI of a key of AWS KMS",
                remedy="write aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID, never an alias",
            )
        return text
    if not _KMS.fullmatch(text):
        raise BadArgument(
            f"{text!r} is not the URI of a CMK", remedy="write local-kms://NAME or aws-kms://ARN"
        )
    return text


def has_lock(repo: str) -> bool:
    """Whether the objects of a vault's repository are locked (Object Lock).

    Raises:
        StoreUnsupported: the URI is not one that this release can open.
    """
    place = parse_place(repo)
    return isinstance(place, S3Place) and bool(place.lock)
