"""From a repository's URI to a store of the least power that will do."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from repository.directory import DirectoryPruner, DirectoryReader, DirectoryWriter
from repository.errors import StoreUnsupported
from repository.retry import RetryingPruner, RetryingReader, RetryingWriter, RetryPolicy
from repository.store import PruneStore, ReadStore, WriteStore


def open_reader(uri: str, policy: RetryPolicy | None = None) -> ReadStore:
    """A store that can only be read.

    Args:
        uri: `file:///absolute/folder`.
        policy: how long to try again; the default suits a worker.

    Raises:
        StoreUnsupported: the URI is not one that this release can open.
        StoreMissing: there is no such folder.
    """
    return RetryingReader(DirectoryReader(_folder(uri)), policy or RetryPolicy())


def open_writer(uri: str, policy: RetryPolicy | None = None, *, create: bool = False) -> WriteStore:
    """A store that can be read and added to; with `create`, a missing folder is made (for `init` only).

    Raises:
        StoreUnsupported: the URI is not one that this release can open.
        StoreMissing: there is no such folder, and `create` is off.
        StoreDenied: the folder cannot be made.
    """
    return RetryingWriter(DirectoryWriter(_folder(uri), create=create), policy or RetryPolicy())


def open_pruner(uri: str, policy: RetryPolicy | None = None) -> PruneStore:
    """A store that can also be removed from.

    Raises:
        StoreUnsupported: the URI is not one that this release can open.
        StoreMissing: there is no such folder.
    """
    return RetryingPruner(DirectoryPruner(_folder(uri)), policy or RetryPolicy())


def _folder(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        raise StoreUnsupported(
            "repositories in S3 come in another release", remedy="use file:///folder for now"
        )
    if parts.scheme != "file" or parts.query or parts.fragment or parts.netloc not in ("", "localhost"):
        raise StoreUnsupported(
            f"{uri} is not the URI of a repository", remedy="write file:///absolute/folder"
        )
    path = Path(unquote(parts.path))
    if not path.is_absolute() or ".." in path.parts or "\0" in str(path):
        raise StoreUnsupported(f"{uri} is not an absolute folder", remedy="write file:///absolute/folder")
    return path
