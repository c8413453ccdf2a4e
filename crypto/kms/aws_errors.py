"""What AWS KMS and STS answer in place of a key, as errors of ours: one table, one row for each code.

The messages of AWS name accounts, roles and keys, and an answer of the key-broker passes through the message broker;
so AWS's own words stay out of ours. Code and request id are enough to find them in CloudTrail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from config.answers import MALFORMED, AnswerTooLarge, AnswerTooSlow, overstepped
from crypto.kms.errors import (
    AccessDenied,
    IncorrectKey,
    InvalidCiphertext,
    KeyDisabled,
    KeyNotFound,
    KeyUnusable,
    KmsError,
    KmsMisused,
    KmsUnavailable,
    KmsUntrusted,
    NoCredentials,
    Throttled,
)


class Row(NamedTuple):
    """What one code means: our error, and what happened."""

    error: type[KmsError]
    what: str


_THROTTLED = Row(Throttled, "AWS has too many calls of this account or to this key")
_AWAY = Row(KmsUnavailable, "AWS KMS cannot answer now")
_DENIED = Row(AccessDenied, "AWS does not let the key-broker use the key for this tenant")
_ALTERED = Row(InvalidCiphertext, "the wrapped key, or the context it is bound to, was altered")
_NO_CREDENTIALS = Row(NoCredentials, "AWS does not accept the key-broker's credentials")
_CLOCK = Row(NoCredentials, "AWS does not accept the signature of the key-broker's request")
_MISUSED = Row(KmsMisused, "AWS KMS does not take the request")
_WRONG_KIND = Row(KeyUnusable, "the key is not one for symmetric encryption")

# When DescribeKey does not say which state it is.
_UNUSABLE_STATE = Row(KeyUnusable, "the key's state does not allow its use")
_SESSION_ENDED = Row(KmsUnavailable, "the session with AWS ended; a new one is begun")

TABLE: Final[Mapping[str, Row]] = MappingProxyType(
    {
        # Too much: wait, with jitter, and try again.
        "ThrottlingException": _THROTTLED,
        "Throttling": _THROTTLED,
        "ThrottledException": _THROTTLED,
        "RequestThrottledException": _THROTTLED,
        "RequestLimitExceeded": _THROTTLED,
        "TooManyRequestsException": _THROTTLED,
        "LimitExceededException": _THROTTLED,
        # Away: the service model of KMS says "you can retry". A GenerateDataKey made twice only wastes a key.
        "DependencyTimeoutException": _AWAY,
        "KMSInternalException": _AWAY,
        "KeyUnavailableException": _AWAY,
        "InternalFailure": _AWAY,
        "InternalError": _AWAY,
        "ServiceUnavailable": _AWAY,
        "ServiceUnavailableException": _AWAY,
        "RequestTimeout": _AWAY,
        "RequestTimeoutException": _AWAY,
        "RequestAbortedException": _AWAY,
        # The customer said no. Strongroom uses no grants, so there is none whose effect could be a moment away.
        "AccessDeniedException": _DENIED,
        "AccessDenied": _DENIED,
        "NotAuthorized": _DENIED,
        "OptInRequired": _DENIED,
        "InvalidGrantTokenException": _DENIED,
        "DisabledException": Row(KeyDisabled, "the key is disabled in AWS KMS"),
        "KMSInvalidStateException": _UNUSABLE_STATE,
        "NotFoundException": Row(KeyNotFound, "AWS KMS knows no such key: it was destroyed, or never was"),
        # Integrity: never tried again, and never to be taken for an outage.
        "InvalidCiphertextException": _ALTERED,
        "IncorrectKeyException": Row(IncorrectKey, "the wrapped key was made by another CMK"),
        # What we are, not what the key is.
        "ExpiredTokenException": _SESSION_ENDED,
        "ExpiredToken": _SESSION_ENDED,
        "UnrecognizedClientException": _NO_CREDENTIALS,
        "InvalidClientTokenId": _NO_CREDENTIALS,
        "MissingAuthenticationToken": _NO_CREDENTIALS,
        "MissingAuthenticationTokenException": _NO_CREDENTIALS,
        "InvalidSignatureException": _CLOCK,
        "SignatureDoesNotMatch": _CLOCK,
        "IncompleteSignature": _CLOCK,
        "IncompleteSignatureException": _CLOCK,
        "RequestExpired": _CLOCK,
        "RegionDisabledException": Row(NoCredentials, "AWS STS is not enabled in that Region"),
        # How we ask.
        "InvalidKeyUsageException": _WRONG_KIND,
        "UnsupportedOperationException": _WRONG_KIND,
        "InvalidArnException": Row(KmsMisused, "AWS KMS does not take the key's ARN"),
        "ValidationError": _MISUSED,
        "ValidationException": _MISUSED,
        "SerializationException": _MISUSED,
        "UnknownOperationException": _MISUSED,
        "MalformedHttpRequestException": _MISUSED,
        "RequestEntityTooLargeException": _MISUSED,
        "MalformedPolicyDocument": _MISUSED,
        "PackedPolicyTooLarge": _MISUSED,
        # Strongroom asks for a dry run in `AwsKms.probe` alone, which takes this answer for its success.
        "DryRunOperationException": Row(KmsMisused, "AWS KMS only tried the request and did not do it"),
    }
)

DRY_RUN_SUCCEEDED = "DryRunOperationException"
INVALID_STATE = "KMSInvalidStateException"
SESSION_CODES = frozenset({"ExpiredTokenException", "ExpiredToken"})

_THROTTLING_STATUS = 429
_PASSING_STATUS = frozenset({408, 500, 502, 503, 504, 509})
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def attempt(call: Callable[[], Mapping[str, Any]]) -> tuple[Mapping[str, Any], KmsError | None]:
    """Make a call to AWS.

    Nothing of what botocore raises survives it, not even as the context of another error: it holds answers, parsed or
    not, and in them credentials and keys. So callers raise the error, after this has returned.

    Returns:
        The parsed answer, {} if there is none; and the error that it, or its absence, stands for.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        answer = call()
    except ClientError as error:
        return error.response, error_of(error.response)
    except (BotoCoreError, OSError) as error:
        return {}, error_without_answer(error)
    except (ResponseParserError, *MALFORMED):
        return {}, no_answer()
    return answer, None


def no_answer() -> KmsUnavailable:
    """A cut or foreign answer: the next try may get a whole one."""
    return KmsUnavailable("AWS KMS gave an answer that is none")


def code_of(response: Mapping[str, Any]) -> str:
    """The error code of a parsed answer; "" when it has none that looks like one."""
    code = response.get("Error", {}).get("Code", "")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def request_id_of(response: Mapping[str, Any]) -> str:
    """The request id of a parsed answer; "" when it has none that looks like one."""
    found = response.get("ResponseMetadata", {}).get("RequestId", "")
    return found if isinstance(found, str) and _REQUEST_ID.fullmatch(found) else ""


def error_of(response: Mapping[str, Any]) -> KmsError:
    """The error that an answer of AWS stands for."""
    code, status = code_of(response), response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    row = TABLE.get(code)
    if row is None:
        if status == _THROTTLING_STATUS:
            row = _THROTTLED
        elif status in _PASSING_STATUS or not code:
            row = _AWAY
        else:
            row = _MISUSED
    return row.error(_told(row.what, response))


def role_denied(response: Mapping[str, Any]) -> AccessDenied:
    """What a denial of STS stands for: who is denied the role has not come to the key yet."""
    return AccessDenied(
        _told("AWS does not let the key-broker assume its role for this tenant", response),
        remedy="compare kms.aws_role, kms.aws_external_id and the key-broker's own role with the trust policy of the "
        "role that is assumed; it must allow sts:AssumeRole and sts:TagSession",
    )


def error_without_answer(error: Exception) -> KmsError:
    """The error that a failure of botocore itself stands for. Its own text may hold an answer's body: it is not used.

    Args:
        error: a BotoCoreError that is no ClientError, or an OSError.
    """
    from botocore import exceptions as boto

    name = type(error).__name__
    match overstepped(error):
        case AnswerTooSlow():
            return KmsUnavailable("AWS KMS did not answer in time")
        case AnswerTooLarge():
            return KmsUnavailable("AWS KMS gave an answer that is larger than any")
    match error:
        case boto.SSLError():
            return KmsUntrusted(
                "the certificate of the KMS endpoint is not signed by a CA that is trusted here"
            )
        case boto.ConnectTimeoutError() | boto.EndpointConnectionError() | boto.ProxyConnectionError():
            return KmsUnavailable(f"AWS KMS cannot be reached ({name})")
        case boto.ReadTimeoutError():
            return KmsUnavailable("AWS KMS did not answer in time")
        case (
            boto.NoCredentialsError()
            | boto.PartialCredentialsError()
            | boto.CredentialRetrievalError()
            | boto.ProfileNotFound()
            | boto.TokenRetrievalError()
            | boto.UnauthorizedSSOTokenError()
            | boto.SSOTokenLoadError()
            | boto.MetadataRetrievalError()
            | boto.ConfigNotFound()
            | boto.ConfigParseError()
        ):
            return NoCredentials(f"the key-broker has no AWS credentials that can be used ({name})")
        case boto.ParamValidationError() | boto.UnknownEndpointError() | boto.InvalidRegionError():
            return KmsMisused(f"the request to AWS KMS could not be made ({name})")
    # Cut connections, answers that cannot be read, failures below HTTP.
    return KmsUnavailable(f"the connection to AWS KMS failed ({name})")


def _told(what: str, response: Mapping[str, Any]) -> str:
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    request = request_id_of(response) or "without an id"
    return f"{what} ({code_of(response) or 'no error code'}, HTTP {status}, request {request})"
