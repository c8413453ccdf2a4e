"""`aws-kms://ARN?option=value&...`: which CMK, and how it is reached.

| option | meaning | setting that gives the default |
| --- | --- | --- |
| `region` | another Region's replica of a multi-Region key | the Region of the ARN |
| `endpoint` | URL of the KMS, a VPC endpoint for example | `kms.aws_endpoint` |
| `sts-endpoint` | URL of the STS | `kms.aws_sts_endpoint` |
| `role` | ARN of the role that is assumed for each tenant | `kms.aws_role` |
| `rewrap-role` | the same for ReEncrypt alone | `kms.aws_rewrap_role` |
| `external-id` | what the role's trust policy may ask for | `kms.aws_external_id` |
| `ca` | file with the CAs that may sign the endpoints' certificates | `kms.aws_ca_file` |

An option of the URI wins over the setting. No option is a secret; credentials come from where boto3 finds them in the
key-broker's process, and a URI that seems to carry some is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from crypto.kms.errors import UnsupportedKms

SCHEME = "aws-kms://"
MAX_URI_CHARS = 2048
MULTI_REGION = "mrk-"

_ARN = re.compile(
    r"arn:(aws[a-z-]*):kms:([a-z]{2,}(?:-[a-z]+)+-[0-9]+):([0-9]{12}):key/"
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})"
)
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-[0-9]+")
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
"""API reference of AWS STS, AssumeRole."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class KeyArn:
    """The ARN of a key: never of an alias, which can be pointed at another key."""

    partition: str
    region: str
    account: str
    key: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:kms:{self.region}:{self.account}:key/{self.key}"

    @classmethod
    def parse(cls, text: str) -> KeyArn:
        """Read an ARN.

        Raises:
            UnsupportedKms: it is not the ARN of a key.
        """
        match = _ARN.fullmatch(text)
        if match is None:
            raise UnsupportedKms(
                "the KMS URI does not name a key by its ARN",
                remedy="write aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID; an alias can be pointed at another key",
            )
        return cls(*match.groups())

    def same_key(self, other: KeyArn) -> bool:
        """Whether both are one key: equal, or replicas of one multi-Region key, which share their material."""
        if not self.key.startswith(MULTI_REGION):
            return self == other
        return replace(self, region="") == replace(other, region="")


@dataclass(frozen=True, slots=True)
class AwsOptions:
    """How a KMS of AWS is reached.

    Attributes:
        endpoint, sts_endpoint: URLs; empty: the public ones of the Region.
        role, rewrap_role: ARNs of roles to assume for each tenant, for ReEncrypt and for all else; empty: none, and
            for `rewrap_role` the same as `role`.
        external_id: for both roles.
        ca_file: PEM; empty: the CAs that botocore brings.
        profile: of the AWS configuration files; empty: what boto3 finds.
        connect_timeout_s, read_timeout_s: of one call.
    """

    endpoint: str = ""
    sts_endpoint: str = ""
    role: str = ""
    rewrap_role: str = ""
    external_id: str = ""
    ca_file: str = ""
    profile: str = ""
    connect_timeout_s: float = 1.0
    read_timeout_s: float = 3.0


@dataclass(frozen=True, slots=True)
class AwsTarget:
    """A key and the way to it."""

    arn: KeyArn
    options: AwsOptions


_FIELD_OF_OPTION = {
    "endpoint": "endpoint",
    "sts-endpoint": "sts_endpoint",
    "role": "role",
    "rewrap-role": "rewrap_role",
    "external-id": "external_id",
    "ca": "ca_file",
}


def parse_aws_uri(uri: str, defaults: AwsOptions) -> AwsTarget:
    """The key and the options that a URI names.

    Args:
        uri: `aws-kms://ARN` with or without options.
        defaults: of the settings.

    Raises:
        UnsupportedKms: not such a URI; an unknown, repeated or malformed option.
    """
    text, _, query = uri.removeprefix(SCHEME).partition("?")
    if not uri.startswith(SCHEME) or len(uri) > MAX_URI_CHARS:
        raise UnsupportedKms("the KMS URI is not one of AWS KMS")
    arn = KeyArn.parse(text)
    options = _options(query)
    region = options.pop("region", arn.region)
    if not _REGION.fullmatch(region):
        raise _bad("region")
    if region != arn.region and not arn.key.startswith(MULTI_REGION):
        raise UnsupportedKms(
            "the KMS URI names another Region than its key's",
            remedy="only a multi-Region key (mrk-) has replicas",
        )
    changes: dict[str, Any] = {_FIELD_OF_OPTION[name]: value for name, value in options.items()}
    merged = replace(defaults, **changes)
    require_sound(merged)
    return AwsTarget(replace(arn, region=region), merged)


def require_sound(options: AwsOptions) -> None:
    """Refuse options that no URI and no setting may have.

    Raises:
        UnsupportedKms: naming the option, not its value.
    """
    for name, url in (("endpoint", options.endpoint), ("sts-endpoint", options.sts_endpoint)):
        if url:
            _require_url(name, url)
    for name, role in (("role", options.role), ("rewrap-role", options.rewrap_role)):
        if role and not _ROLE.fullmatch(role):
            raise _bad(name)
    if options.external_id and not _EXTERNAL_ID.fullmatch(options.external_id):
        raise _bad("external-id")


def _options(query: str) -> dict[str, str]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, strict_parsing=True, keep_blank_values=True, max_num_fields=16)
    except ValueError as error:
        raise UnsupportedKms("the KMS URI's options are not option=value&option=value") from error
    options: dict[str, str] = {}
    for name, value in pairs:
        if name not in (*_FIELD_OF_OPTION, "region"):
            raise UnsupportedKms(
                "the KMS URI has an option that is none",
                remedy=f"the options are region, {', '.join(_FIELD_OF_OPTION)}; credentials do not belong into a URI",
            )
        if name in options or not value:
            raise _bad(name)
        options[name] = value
    return options


def _require_url(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        loopback = parts.hostname in _LOOPBACK
        _ = parts.port
    except ValueError as error:
        raise _bad(name) from error
    bare = not (parts.username or parts.password or parts.query or parts.fragment) and "@" not in parts.netloc
    if not parts.hostname or not bare or parts.scheme not in ("http", "https"):
        raise _bad(name)
    if parts.scheme == "http" and not loopback:
        raise UnsupportedKms(
            f"{name} of the KMS is not https://",
            remedy="data keys cross that connection in clear: use https://, with the CA bundle in kms.aws_ca_file",
        )


def _bad(option: str) -> UnsupportedKms:
    return UnsupportedKms(
        f"the KMS option {option} is malformed or given twice", remedy="see docs/operations.md"
    )
