"""Keys of objects as paths of a snapshot, and back. Pure.

`/s3:/bucket/key`, cut at the key's slashes. A path may not hold what a key may, so in each name between slashes

- a zero byte becomes 01 01 and a byte 01 becomes 01 02;
- a name that is then empty, "." or ".." gets a byte 01 at its end, as in `a//b`, `../x` or `folder/`.

No two keys become one path, and paths are in the order of the keys whose slashes count as the least of all bytes.
"""

from typing import Final

from sources.source import MetaDamaged

ROOT: Final = b"/s3:"
"""Above all buckets. No file has such a path unless somebody makes a folder of that name."""

_ODD: Final = frozenset({b"", b".", b".."})


def path_of(bucket: str, key: str) -> bytes:
    """The path of an object; of the bucket itself for an empty key."""
    top = ROOT + b"/" + bucket.encode()
    return top + b"/" + escape(key) if key else top


def escape(key: str) -> bytes:
    """A key, or the end of one after a slash, as the end of a path."""
    return b"/".join([_escaped(name) for name in key.encode("utf-8", "surrogatepass").split(b"/")])


def unescape(names: bytes) -> str:
    """The key, or the end of one, that `escape` made this of.

    Raises:
        MetaDamaged: it made this of none.
    """
    try:
        key = b"/".join([_plain(name) for name in names.split(b"/")]).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise MetaDamaged(names, "a stored path is that of no object") from error
    if escape(key) != names:
        raise MetaDamaged(names, "a stored path is that of no object")
    return key


def _escaped(name: bytes) -> bytes:
    if b"\0" in name or b"\1" in name:
        return name.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")
    return name + b"\1" if name in _ODD else name


def _plain(name: bytes) -> bytes:
    if b"\1" not in name:
        return name
    if name[:-1] in _ODD and name[-1:] == b"\1":
        return name[:-1]
    return name.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1")
