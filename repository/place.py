"""Where a repository or a delivery area is, read from its URI. Pure: nothing is opened here.

`file:///folder` or `s3://bucket/prefix?option=value&...`. The options of S3 are part of the place: whoever reads the
vault's URI reaches the same objects in the same way. Secrets are none of them: credentials come from the usual chain.
"""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from repository.errors import StoreUnsupported

MAX_URI: Final = 4096
MAX_PREFIX: Final = 500
"""With the longest object name this stays below the 1024 bytes that a key may have."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*")
_RETENTION = re.compile(r"([1-9][0-9]{0,4})([dh])")
_SECONDS = {"d": 86_400, "h": 3_600}
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1")
# What an option's value may be; the meaning is that of S3's own API.
_OPTIONS: Final[dict[str, re.Pattern[str]]] = {
    "endpoint": re.compile(r"https?://.+"),
    "region": re.compile(r"[a-z0-9][a-z0-9-]{1,40}"),
    "profile": re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}"),
    "addressing": re.compile(r"path|virtual"),
    "ca": re.compile(r"/[^\0]+"),
    "owner": re.compile(r"[0-9]{12}"),
    "sse": re.compile(r"AES256|aws:kms|aws:kms:dsse"),
    "sse-kms-key": re.compile(r"[A-Za-z0-9:/_+=,.@-]{1,2048}"),
    # Classes that answer at once: a repository is read while it is written.
    "class": re.compile(r"STANDARD|STANDARD_IA|ONEZONE_IA|INTELLIGENT_TIERING|GLACIER_IR|REDUCED_REDUNDANCY"),
    "lock": re.compile(r"governance|compliance"),
    "retention": _RETENTION,
}
_SECRET = re.compile(r"(?i).*(secret|access.?key|token|password|credential).*")


@dataclass(frozen=True)
class FolderPlace:
    """A folder; `path` is absolute."""

    path: Path

    @property
    def uri(self) -> str:
        """In the one form that it can have."""
        return self.path.as_uri()


@dataclass(frozen=True)
class S3Place:
    """A prefix in a bucket. What is "" is left to the usual chain of AWS (environment, profile, instance).

    Attributes:
        prefix: before every object name, without slashes around; "" for the whole bucket.
        endpoint: URL of a server other than AWS; plain http only on this machine.
        region, profile: of the bucket, of the credentials in the shared files.
        addressing: "path" or "virtual"; empty: whatever suits the endpoint.
        ca: file with the authorities whose certificates are believed.
        owner: account that the bucket must belong to.
        sse, sse_kms_key: encryption by the server, on top of ours.
        storage_class: of packs. All else is small, and read often.
        lock: "governance" or "compliance": how long-lived objects are locked (Object Lock).
        retention_s: for so many seconds from their creation, or from their last extension; 0 without a lock.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    profile: str = ""
    addressing: str = ""
    ca: str = ""
    owner: str = ""
    sse: str = ""
    sse_kms_key: str = ""
    storage_class: str = ""
    lock: str = ""
    retention_s: int = 0

    @property
    def shown(self) -> str:
        """For people: without the options."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def uri(self) -> str:
        """In the one form that it can have: options in a fixed order."""
        options = [
            (_option_of(field.name), _text_of(getattr(self, field.name)))
            for field in fields(self)
            if field.name not in {"bucket", "prefix"} and getattr(self, field.name)
        ]
        query = urlencode(options, safe="/:", quote_via=quote)
        return self.shown + (f"?{query}" if query else "")


Place = FolderPlace | S3Place


def parse_place(uri: str) -> Place:
    """What a URI names.

    Raises:
        StoreUnsupported: nothing that this release can open; says what is wrong with it.
    """
    if len(uri) > MAX_URI or not uri.isprintable():
        raise StoreUnsupported("this is not the URI of a repository", remedy="write file:///absolute/folder")
    if uri.startswith("s3://"):
        return _s3_place(uri)
    return _folder_place(uri)


def _folder_place(uri: str) -> FolderPlace:
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.query or parts.fragment or parts.netloc not in ("", "localhost"):
        raise StoreUnsupported(
            f"{uri} is not the URI of a repository",
            remedy="write file:///absolute/folder or s3://bucket/prefix",
        )
    path = Path(unquote(parts.path))
    if not path.is_absolute() or ".." in path.parts or "\0" in str(path):
        raise StoreUnsupported(f"{uri} is not an absolute folder", remedy="write file:///absolute/folder")
    return FolderPlace(path)


def _s3_place(uri: str) -> S3Place:
    parts = urlsplit(uri)
    bucket, prefix = parts.netloc, unquote(parts.path).strip("/")
    if "@" in bucket:
        raise _wrong(
            "credentials do not belong into a URI", "name a profile: s3://bucket/prefix?profile=NAME"
        )
    if parts.fragment or not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise _wrong(f"{bucket!r} is not the name of a bucket", "write s3://bucket/prefix")
    if prefix and (len(prefix) > MAX_PREFIX or not _PREFIX.fullmatch(prefix)):
        raise _wrong(
            f"{prefix[:MAX_PREFIX]!r} is not a prefix for objects",
            "use letters, digits, !_.*'()- and single slashes",
        )
    if set(prefix.split("/")) & {".", ".."}:
        raise _wrong("a prefix has no parts named . or ..", "write s3://bucket/prefix")
    options = _options(parts.query)
    _refuse_combinations(options)
    return S3Place(
        bucket=bucket,
        prefix=prefix,
        endpoint=_endpoint(options.get("endpoint", "")),
        region=options.get("region", ""),
        profile=options.get("profile", ""),
        addressing=options.get("addressing", ""),
        ca=options.get("ca", ""),
        owner=options.get("owner", ""),
        sse=options.get("sse", ""),
        sse_kms_key=options.get("sse-kms-key", ""),
        storage_class=options.get("class", ""),
        lock=options.get("lock", ""),
        retention_s=_seconds(options["retention"]) if "retention" in options else 0,
    )


def _options(query: str) -> dict[str, str]:
    try:
        # A plus is a plus, as in names of profiles: this is a URI, not a form.
        pairs = parse_qsl(
            query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(query), max_num_fields=32
        )
    except ValueError as error:
        raise _wrong("what follows the ? is not option=value&option=value", "correct the URI") from error
    options: dict[str, str] = {}
    for name, value in pairs:
        if _SECRET.fullmatch(name):
            raise _wrong(
                f"{name[:40]} does not belong into a URI, which is stored and shown",
                "keep credentials in the shared AWS files, and name a profile: ?profile=NAME",
            )
        if name not in _OPTIONS or name in options:
            what = "is given twice" if name in options else "is not an option of s3://"
            raise _wrong(f"{name[:40]!r} {what}", f"the options are {', '.join(_OPTIONS)}")
        if not _OPTIONS[name].fullmatch(value):
            raise _wrong(f"{value[:80]!r} is not a value for {name}", _HELP.get(name, "correct the URI"))
        options[name] = value
    return options


_HELP: Final = {
    "addressing": "use path or virtual",
    "ca": "name a PEM file by its absolute path",
    "class": "use STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING or GLACIER_IR: what is archived deeper "
    "cannot be read at once",
    "endpoint": "write https://host or https://host:port",
    "lock": "use governance or compliance",
    "owner": "give the 12 digits of an account",
    "retention": "write a number of days or hours: 30d, 12h",
    "sse": "use AES256, aws:kms or aws:kms:dsse",
}


def _refuse_combinations(options: dict[str, str]) -> None:
    if "sse-kms-key" in options and not options.get("sse", "").startswith("aws:kms"):
        raise _wrong("sse-kms-key needs sse=aws:kms", "add it, or leave out the key")
    if ("lock" in options) != ("retention" in options):
        raise _wrong("lock and retention belong together", "write lock=governance&retention=30d")
    if "ca" in options and options.get("endpoint", "").startswith("http:"):
        raise _wrong("ca needs an https:// endpoint: plain http has no certificates", "leave out one of them")


def _endpoint(text: str) -> str:
    if not text:
        return ""
    parts = urlsplit(text)
    try:
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise _wrong(f"{text[:200]!r} is not an endpoint", _HELP["endpoint"]) from error
    if "@" in parts.netloc:
        raise _wrong("credentials do not belong into a URI", "name a profile: ?profile=NAME")
    if not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise _wrong(f"{text[:200]!r} is not an endpoint", _HELP["endpoint"])
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(host):
        raise _wrong(
            "an endpoint on another machine needs TLS: http:// would show who asks for what",
            "use https://, and ca=/path/to/ca.pem for an authority of your own",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _seconds(text: str) -> int:
    match = _RETENTION.fullmatch(text)
    assert match is not None  # the table of options has said so
    return int(match[1]) * _SECONDS[match[2]]


def _option_of(field: str) -> str:
    return {"sse_kms_key": "sse-kms-key", "storage_class": "class", "retention_s": "retention"}.get(
        field, field
    )


def _text_of(value: str | int) -> str:
    if isinstance(value, str):
        return value
    return f"{value // 86_400}d" if value % 86_400 == 0 else f"{value // 3_600}h"


def _wrong(message: str, remedy: str) -> StoreUnsupported:
    return StoreUnsupported(message, remedy=remedy)
