"""Stored metadata of whatever source it is from, as a file system takes it."""

from sources.filesystem import metadata as files
from sources.s3 import metadata as objects


def file_meta(data: bytes, path: bytes) -> files.Meta:
    """The metadata stored for `path`; that of an object as a file's.

    Raises:
        MetaDamaged: neither, or a value out of range.
    """
    if objects.is_object(data):
        return objects.as_file(objects.decode(data, path))
    return files.decode(data, path)
