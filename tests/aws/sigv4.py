"""The other side of Signature Version 4: whose request it is, or which error AWS answers.

Written after the AWS general reference, "Create a signed AWS API request", and not with botocore's own signer.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

SKEW = timedelta(minutes=5)
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,]+)/([0-9]{8})/([a-z0-9-]+)/([a-z0-9]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)


class AwsRefusal(Exception):
    """An error answer of AWS."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True)
class HttpRequest:
    """A request as it came in; names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Signature:
    """What an Authorization header claims."""

    key_id: str
    day: str
    region: str
    service: str
    signed: tuple[str, ...]
    value: str


def claimed(request: HttpRequest) -> Signature:
    """Read the Authorization header.

    Raises:
        AwsRefusal: there is none, or none that can be read.
    """
    header = request.headers.get("authorization")
    if header is None:
        raise AwsRefusal("MissingAuthenticationTokenException", "Missing Authentication Token")
    match = _AUTHORIZATION.fullmatch(header)
    if match is None:
        raise AwsRefusal("IncompleteSignatureException", "Authorization header is not complete")
    return Signature(match[1], match[2], match[3], match[4], tuple(match[5].split(";")), match[6])


def verify(request: HttpRequest, signature: Signature, secret: str, now: datetime) -> None:
    """Check a signature and its time.

    Raises:
        AwsRefusal: it does not hold.
    """
    stamp = request.headers.get("x-amz-date", "")
    try:
        when = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise AwsRefusal("IncompleteSignatureException", "no date") from error
    if abs(now - when) > SKEW:
        raise AwsRefusal("InvalidSignatureException", f"Signature expired: {stamp} is not now")
    if not stamp.startswith(signature.day):
        raise AwsRefusal("InvalidSignatureException", "the credential's day is another")
    must = {name for name in request.headers if name.startswith("x-amz-")} | {"host"}
    if not must <= set(signature.signed) or list(signature.signed) != sorted(signature.signed):
        raise AwsRefusal("InvalidSignatureException", "a header that must be signed is not")
    path, _, query = request.path.partition("?")
    canonical = "\n".join(
        (
            request.method,
            quote(path, safe="/-_.~"),
            "&".join(sorted(quote(unquote(part), safe="=-_.~") for part in query.split("&") if part)),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in signature.signed),
            "",
            ";".join(signature.signed),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    scope = f"{signature.day}/{signature.region}/{signature.service}/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{secret}".encode()
    for part in (signature.day, signature.region, signature.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature.value):
        raise AwsRefusal(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
        )
