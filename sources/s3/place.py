"""Which objects of which bucket: read from an `s3://` URI. Pure: nothing is opened here.

The options are those of a repository's URI as far as they say how a bucket is reached (`repository.place`); what says
how a repository is stored is refused. A prefix may hold whatever a key may, percent-encoded.
"""

from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from config.errors import StrongroomError
from repository.errors import StoreUnsupported
from repository.place import S3Place, parse_place
from sources.s3.names import path_of

SCHEME: Final = "s3://"
AWS: Final = "s3.amazonaws.com"
MAX_PREFIX: Final = 1024

_STORED: Final = ("sse", "sse_kms_key", "storage_class", "lock", "retention_s")


class NotAPlace(StrongroomError):
    """A URI that names no objects."""


class BucketPath(NamedTuple):
    """The object `prefix` and all whose keys begin with `prefix/`; every object of the bucket for "".

    `place`: how the bucket is reached; its own prefix is empty.
    """

    place: S3Place
    prefix: str

    @property
    def path(self) -> bytes:
        """As a path of a snapshot."""
        return self.path_to(self.prefix)

    def path_to(self, key: str) -> bytes:
        """An object of the bucket as a path of a snapshot."""
        return path_of(self.place.bucket, key)

    @property
    def folder(self) -> str:
        """What the keys below begin with."""
        return f"{self.prefix}/" if self.prefix else ""

    @property
    def uri(self) -> str:
        """In the one form that it can have."""
        bucket, question, options = self.place.uri.partition("?")
        return bucket + (f"/{quote(self.prefix)}" if self.prefix else "") + question + options

    @property
    def server(self) -> str:
        """Who keeps the bucket: host and port, without credentials."""
        return urlsplit(self.place.endpoint).netloc if self.place.endpoint else AWS


def is_bucket(text: str) -> bool:
    """Whether a word of the command line means a bucket rather than a file."""
    return text.startswith(SCHEME)


def parse(uri: str) -> BucketPath:
    """What a URI names.

    Raises:
        NotAPlace: nothing; says what is wrong with it.
    """
    parts = urlsplit(uri)
    prefix = unquote(parts.path).removeprefix("/").removesuffix("/")
    bare = f"{parts.scheme}://{parts.netloc}" + (f"?{parts.query}" if parts.query else "")
    try:
        place = parse_place(bare)
    except StoreUnsupported as error:
        raise NotAPlace(error.message, remedy=error.remedy) from error
    if not isinstance(place, S3Place) or parts.fragment:
        raise NotAPlace(
            "this is not the URI of a bucket", remedy="write s3://bucket/prefix; # and ? as %23, %3F"
        )
    if any(getattr(place, name) for name in _STORED):
        raise NotAPlace(
            "sse, class, lock and retention are options of a repository",
            remedy="leave them out: objects are stored again as they were",
        )
    if len(prefix.encode()) > MAX_PREFIX:
        raise NotAPlace(f"a prefix is longer than {MAX_PREFIX} bytes", remedy="write s3://bucket/prefix")
    return BucketPath(place, prefix)
