"""What S3 and its client library say, as errors of the repository: the one place that decides.

Codes: docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. What is not in the table is decided by the status
of the answer: 5xx and 429 may be tried again, everything else is permanent.
"""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from config.answers import MALFORMED, AnswerTooLarge, overstepped
from repository.errors import (
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    RepositoryError,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreUnreachable,
    StoreUnsupported,
)
from repository.place import S3Place

MAX_SAID: Final = 200
"""Characters of a server's own words that are passed on."""
MAX_SKEW_S: Final = 15 * 60
"""How far a client's clock may be off before S3 refuses its signatures."""

_CREDENTIALS = (
    "check the credentials: profile=NAME in the URI, STRONGROOM_S3_* for the embedded stack (it reads them when it "
    "starts), or the usual AWS environment, files and roles of a worker"
)
_POLICY = "check the role's IAM policy and the bucket's policy"
_CLOCK = "set this machine's clock, best by NTP"
_AGAIN = ""
_LOCK = "make a bucket with Object Lock, or leave out lock and retention"
_SERVER_KEY = "look at the KMS key that the bucket, or sse-kms-key in the URI, names"


class Rule(NamedTuple):
    """What a code means: the error, and what to do about it."""

    kind: type[RepositoryError]
    remedy: str
    about_credentials: bool = False


CODES: Final[Mapping[str, Rule]] = {
    # The object.
    "NoSuchKey": Rule(ObjectMissing, "run `strongroom check` to see what else is missing"),
    "NoSuchVersion": Rule(ObjectMissing, "run `strongroom check` to see what else is missing"),
    "404": Rule(ObjectMissing, "run `strongroom check` to see what else is missing"),
    "PreconditionFailed": Rule(ObjectExists, ""),
    "412": Rule(ObjectExists, ""),
    "InvalidRange": Rule(ObjectDamaged, "run `strongroom check`"),
    "416": Rule(ObjectDamaged, "run `strongroom check`"),
    "InvalidObjectState": Rule(StoreDenied, "the object is archived: restore it to an instant class first"),
    # The place.
    "NoSuchBucket": Rule(StoreMissing, "check the name, or make the bucket: Strongroom never makes one"),
    "InvalidBucketName": Rule(StoreMissing, "check the name of the bucket"),
    "PermanentRedirect": Rule(StoreMissing, "set region in the URI"),
    "TemporaryRedirect": Rule(StoreUnreachable, _AGAIN),
    "301": Rule(StoreMissing, "set region in the URI"),
    "AuthorizationHeaderMalformed": Rule(StoreMissing, "set region in the URI"),
    "IllegalLocationConstraintException": Rule(StoreMissing, "set region in the URI"),
    # Whether we may.
    "AccessDenied": Rule(StoreDenied, _POLICY),
    "AllAccessDisabled": Rule(StoreDenied, _POLICY),
    "AccountProblem": Rule(StoreDenied, "ask the provider about the account"),
    "403": Rule(StoreDenied, _POLICY),
    "401": Rule(StoreDenied, _CREDENTIALS, about_credentials=True),
    "InvalidAccessKeyId": Rule(StoreDenied, _CREDENTIALS, about_credentials=True),
    "SignatureDoesNotMatch": Rule(StoreDenied, _CREDENTIALS, about_credentials=True),
    "ExpiredToken": Rule(StoreDenied, _CREDENTIALS, about_credentials=True),
    "InvalidToken": Rule(StoreDenied, _CREDENTIALS, about_credentials=True),
    "TokenRefreshRequired": Rule(StoreDenied, _CREDENTIALS, about_credentials=True),
    "RequestTimeTooSkewed": Rule(StoreDenied, _CLOCK),
    "RequestExpired": Rule(StoreDenied, _CLOCK),
    # The server's own encryption.
    "KMS.DisabledException": Rule(StoreDenied, _SERVER_KEY),
    "KMS.NotFoundException": Rule(StoreDenied, _SERVER_KEY),
    "KMS.KMSInvalidStateException": Rule(StoreDenied, _SERVER_KEY),
    "KMS.InvalidKeyUsageException": Rule(StoreDenied, _SERVER_KEY),
    "KMS.ThrottlingException": Rule(StoreUnreachable, _AGAIN),
    # Room.
    "InsufficientStorage": Rule(StoreFull, "free some space; what is stored already is safe"),
    "QuotaExceeded": Rule(StoreFull, "raise the quota; what is stored already is safe"),
    "QuotaExceededException": Rule(StoreFull, "raise the quota; what is stored already is safe"),
    "XMinioStorageFull": Rule(StoreFull, "free some space; what is stored already is safe"),
    # What it cannot do.
    "NotImplemented": Rule(StoreUnsupported, "use a server that has conditional writes and ranged reads"),
    "MethodNotAllowed": Rule(StoreUnsupported, "check the endpoint"),
    "ObjectLockConfigurationNotFoundError": Rule(StoreUnsupported, _LOCK),
    "InvalidStorageClass": Rule(StoreUnsupported, "leave out class, or use one that the server has"),
    # Later.
    "ConditionalRequestConflict": Rule(StoreUnreachable, _AGAIN),
    "OperationAborted": Rule(StoreUnreachable, _AGAIN),
    "RequestTimeout": Rule(StoreUnreachable, _AGAIN),
    "NoSuchUpload": Rule(StoreUnreachable, _AGAIN),
    "BadDigest": Rule(StoreUnreachable, "what was sent did not arrive as it was: look at the network"),
    "XAmzContentChecksumMismatch": Rule(
        StoreUnreachable, "what was sent did not arrive as it was: look at the network"
    ),
    "XAmzContentSHA256Mismatch": Rule(
        StoreUnreachable, "what was sent did not arrive as it was: look at the network"
    ),
    "InvalidDigest": Rule(StoreUnreachable, "what was sent did not arrive as it was: look at the network"),
    "IncompleteBody": Rule(StoreUnreachable, _AGAIN),
    "SlowDown": Rule(StoreUnreachable, "the store asks for fewer requests: lower [store] parallel"),
    "Throttling": Rule(StoreUnreachable, "the store asks for fewer requests: lower [store] parallel"),
    "TooManyRequests": Rule(StoreUnreachable, "the store asks for fewer requests: lower [store] parallel"),
}

_NO_SUCH_HOST: Final = (socket.EAI_NONAME, socket.EAI_NODATA)
_NETWORK: Final = "check the endpoint and the network"
_FOREIGN: Final = "check that the endpoint is an S3 server, and what is between it and here"
# The library's own errors; the first that fits counts.
LIBRARY: Final[tuple[tuple[type[Exception], Rule], ...]] = (
    (boto.NoCredentialsError, Rule(StoreDenied, _CREDENTIALS, about_credentials=True)),
    (boto.PartialCredentialsError, Rule(StoreDenied, _CREDENTIALS, about_credentials=True)),
    (boto.CredentialRetrievalError, Rule(StoreDenied, _CREDENTIALS, about_credentials=True)),
    (boto.UnknownCredentialError, Rule(StoreDenied, _CREDENTIALS, about_credentials=True)),
    (boto.ProfileNotFound, Rule(StoreDenied, _CREDENTIALS, about_credentials=True)),
    (boto.ConfigNotFound, Rule(StoreDenied, _CREDENTIALS, about_credentials=True)),
    (boto.ConfigParseError, Rule(StoreDenied, "correct the AWS configuration file", about_credentials=True)),
    (boto.NoAuthTokenError, Rule(StoreDenied, _CREDENTIALS, about_credentials=True)),
    (boto.TokenRetrievalError, Rule(StoreDenied, _CREDENTIALS, about_credentials=True)),
    (boto.SSOError, Rule(StoreDenied, "run `aws sso login` for the profile", about_credentials=True)),
    (boto.LoginError, Rule(StoreDenied, "run `aws login` for the profile", about_credentials=True)),
    (boto.MetadataRetrievalError, Rule(StoreUnreachable, _CREDENTIALS)),
    (boto.InvalidRegionError, Rule(StoreMissing, "set region in the URI")),
    (boto.BaseEndpointResolverError, Rule(StoreMissing, "set region in the URI")),
    (boto.EndpointProviderError, Rule(StoreMissing, "check endpoint, region and addressing in the URI")),
    (boto.ParamValidationError, Rule(StoreUnsupported, "check the URI")),
    (boto.HTTPClientError, Rule(StoreUnreachable, _NETWORK)),
    (boto.ConnectionError, Rule(StoreUnreachable, _NETWORK)),
    (boto.IncompleteReadError, Rule(StoreUnreachable, _NETWORK)),
    (boto.ChecksumError, Rule(StoreUnreachable, _NETWORK)),
    (boto.FlexibleChecksumError, Rule(StoreUnreachable, _NETWORK)),
    (boto.BotoCoreError, Rule(StoreError, "")),
    (HTTPError, Rule(StoreUnreachable, _NETWORK)),
    (OSError, Rule(StoreUnreachable, _NETWORK)),
)


@contextmanager
def translated(name: str, place: S3Place, on_bad_credentials: Callable[[], None]) -> Iterator[None]:
    """Turn every foreign error inside into one of ours that names the object or the place.

    Args:
        name: of the object, or what is being done.
        on_bad_credentials: called when the credentials were refused: newer ones may have been put in place.
    """
    try:
        yield
    except boto.ClientError as error:
        rule = _rule(error)
        if rule.about_credentials:
            on_bad_credentials()
        raise rule.kind(_told(error, rule, name, place), remedy=_remedy(error, rule)) from error
    except boto.SSLError as error:
        raise _untrusted(error, name, place) from error
    except boto.EndpointConnectionError as error:
        raise _unconnected(error, name, place) from error
    except (boto.BotoCoreError, HTTPError, OSError) as error:
        bound = overstepped(error)
        if isinstance(bound, AnswerTooLarge):
            raise StoreUnsupported(f"{name}: {place.shown}: {bound}", remedy=_FOREIGN) from error
        if bound is not None:
            raise StoreUnreachable(f"{name}: {place.shown}: {bound}", remedy=_NETWORK) from error
        rule = next(rule for kind, rule in LIBRARY if isinstance(error, kind))
        if rule.about_credentials:
            on_bad_credentials()
        raise rule.kind(f"{name}: {place.shown}: {_said(str(error))}", remedy=rule.remedy) from error
    except (ResponseParserError, *MALFORMED) as error:
        # A part is missing, or of another type: cut on the way, or of something that is no S3. The next may be whole.
        raise StoreUnreachable(
            f"{name}: {place.shown}: the server gave an answer that is none of S3 ({type(error).__name__})",
            remedy=_FOREIGN,
        ) from error


def in_our_words(error: StoreError) -> bool:
    """Whether nothing of an error's text is the server's or the library's, which may name an object."""
    cause = error.__cause__
    foreign = isinstance(cause, boto.ClientError | boto.BotoCoreError | HTTPError | OSError)
    return not foreign or (cause is not None and overstepped(cause) is not None)


def code_of(error: boto.ClientError) -> str:
    """S3's word for what is wrong; the status as text where an answer has no body (to HEAD)."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _rule(error: boto.ClientError) -> Rule:
    found = CODES.get(code_of(error))
    if found is not None:
        return found
    status = _status(error)
    if status == 507:
        return CODES["InsufficientStorage"]
    if status >= 500 or status == 429:
        return Rule(StoreUnreachable, _AGAIN)
    if status == 403:
        return CODES["AccessDenied"]
    if _said_of(error).startswith("Bucket is missing Object Lock"):
        return CODES["ObjectLockConfigurationNotFoundError"]
    return Rule(StoreError, "")


def _told(error: boto.ClientError, rule: Rule, name: str, place: S3Place) -> str:
    if rule.kind in {ObjectMissing, ObjectExists}:
        return f"{name}: {'there is no such object' if rule.kind is ObjectMissing else 'the name is taken'}"
    code = code_of(error)
    skew = _skew_s(error)
    if code in {"RequestTimeTooSkewed", "RequestExpired"} or (code == "403" and abs(skew) > MAX_SKEW_S):
        return (
            f"{place.shown}: this machine's clock differs from the server's by {abs(skew) / 60:.0f} minutes"
        )
    said = _said_of(error)
    numbered = f" (request {_request_id(error)})" if _request_id(error) else ""
    words = f"{code} {said}" if said and not code.isdigit() else f"status {_status(error)}"
    return f"{name}: {place.shown}: {words}{numbered}"


def _remedy(error: boto.ClientError, rule: Rule) -> str:
    if code_of(error) == "403" and abs(_skew_s(error)) > MAX_SKEW_S:
        return _CLOCK
    if rule.kind is StoreMissing and "region" in rule.remedy:
        region = _headers(error).get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region")
        if region:
            return f"the bucket is in {_said(str(region))}: write region={_said(str(region))} in the URI"
    return rule.remedy


def _untrusted(error: boto.SSLError, name: str, place: S3Place) -> StoreError:
    """A certificate that is not believed stays so; a handshake that broke off may succeed the next time."""
    words = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in words or "doesn't match" in words:
        return StoreDenied(
            f"{place.shown}: the server's certificate is not to be trusted: {_said(words)}",
            remedy="check the endpoint; for an authority of your own write ca=/path/to/ca.pem in the URI",
        )
    if "WRONG_VERSION_NUMBER" in words:
        return StoreMissing(
            f"{place.shown}: the server does not speak TLS",
            remedy="check endpoint and its port in the URI; http:// is for this machine only",
        )
    return StoreUnreachable(f"{name}: {place.shown}: {_said(str(error))}", remedy=_NETWORK)


def _unconnected(error: boto.EndpointConnectionError, name: str, place: S3Place) -> StoreError:
    """A name that no server of names knows stays unknown; one that could not be asked for may be found later."""
    why = error.kwargs.get("error")
    lookup = why if isinstance(why, socket.gaierror) else getattr(why, "__cause__", None)
    if isinstance(lookup, socket.gaierror) and lookup.errno in _NO_SUCH_HOST:
        return StoreMissing(
            f"{place.shown}: {_said(str(error))}: there is no host of that name",
            remedy="check endpoint and region in the URI",
        )
    return StoreUnreachable(f"{name}: {place.shown}: {_said(str(error))}", remedy=_NETWORK)


def _skew_s(error: boto.ClientError) -> float:
    """How far ahead of the server our clock is, by the Date of its answer; 0 when it does not say."""
    try:
        said = parsedate_to_datetime(_headers(error).get("date", ""))
    except (TypeError, ValueError):
        return 0.0
    if said.tzinfo is None:
        said = said.replace(tzinfo=UTC)
    return (datetime.now(UTC) - said).total_seconds()


def _status(error: boto.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _headers(error: boto.ClientError) -> Mapping[str, Any]:
    headers: Mapping[str, Any] = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


def _request_id(error: boto.ClientError) -> str:
    return _said(str(error.response.get("ResponseMetadata", {}).get("RequestId", "")))


def _said_of(error: boto.ClientError) -> str:
    return _said(str(error.response.get("Error", {}).get("Message", "")))


def _said(text: str) -> str:
    """A server's words in one printable line."""
    return "".join(char if char.isprintable() else " " for char in text)[:MAX_SAID]
