"""The error table, row by row, and that no error of botocore is without one."""

import inspect
from typing import Any

import pytest
from botocore import exceptions as boto

from crypto.keyrequest import REFUSALS
from crypto.kms.aws_errors import TABLE, code_of, error_of, error_without_answer, request_id_of
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

ROWS: dict[type[KmsError], str] = {
    Throttled: """ThrottlingException Throttling ThrottledException RequestThrottledException RequestLimitExceeded
        TooManyRequestsException LimitExceededException""",
    KmsUnavailable: """DependencyTimeoutException KMSInternalException KeyUnavailableException InternalFailure
        InternalError ServiceUnavailable ServiceUnavailableException RequestTimeout RequestTimeoutException
        RequestAbortedException ExpiredTokenException ExpiredToken""",
    AccessDenied: "AccessDeniedException AccessDenied NotAuthorized OptInRequired InvalidGrantTokenException",
    KeyDisabled: "DisabledException",
    KeyUnusable: "KMSInvalidStateException InvalidKeyUsageException UnsupportedOperationException",
    KeyNotFound: "NotFoundException",
    InvalidCiphertext: "InvalidCiphertextException",
    IncorrectKey: "IncorrectKeyException",
    NoCredentials: """UnrecognizedClientException InvalidClientTokenId MissingAuthenticationToken
        MissingAuthenticationTokenException InvalidSignatureException SignatureDoesNotMatch IncompleteSignature
        IncompleteSignatureException RequestExpired RegionDisabledException""",
    KmsMisused: """InvalidArnException ValidationError ValidationException SerializationException
        UnknownOperationException MalformedHttpRequestException RequestEntityTooLargeException MalformedPolicyDocument
        PackedPolicyTooLarge DryRunOperationException""",
}
EXPECTED = {code: kind for kind, codes in ROWS.items() for code in codes.split()}


def answer(code: str, status: int = 400, request_id: str = "r-1") -> dict[str, Any]:
    return {
        "Error": {"Code": code, "Message": "arn:aws:iam::1:role/ACME"},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": request_id},
    }


@pytest.mark.parametrize("code", sorted(TABLE))
def test_each_row(code: str) -> None:
    error = error_of(answer(code))
    assert type(error) is EXPECTED[code]
    assert error.code in REFUSALS
    assert error.remedy
    assert code in error.message
    assert "r-1" in error.message


def test_no_row_is_untested_and_no_tested_row_is_gone() -> None:
    assert set(EXPECTED) == set(TABLE)


def test_every_error_that_kms_can_answer_our_calls_has_a_row() -> None:
    """From the service model itself: a new release of botocore with a new error fails here."""
    import botocore.session

    model = botocore.session.Session().get_service_model("kms")
    for operation in ("GenerateDataKey", "Decrypt", "ReEncrypt", "DescribeKey"):
        for shape in model.operation_model(operation).error_shapes:
            assert shape.name in TABLE
    model = botocore.session.Session().get_service_model("sts")
    for shape in model.operation_model("AssumeRole").error_shapes:
        assert shape.error_code in TABLE


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("NewThing", 400, KmsMisused),
        ("NewThing", 403, KmsMisused),
        ("NewThing", 429, Throttled),
        ("NewThing", 500, KmsUnavailable),
        ("NewThing", 503, KmsUnavailable),
        ("NewThing", 504, KmsUnavailable),
        ("", 200, KmsUnavailable),
        ("<html>", 400, KmsUnavailable),
        ("x" * 65, 400, KmsUnavailable),
    ],
)
def test_unknown_codes_go_by_their_status(code: str, status: int, kind: type[KmsError]) -> None:
    assert type(error_of(answer(code, status))) is kind


def test_words_of_aws_stay_out() -> None:
    """They name accounts and roles, and the text of a refusal passes through the message broker."""
    for code in TABLE:
        error = error_of(answer(code))
        assert "ACME" not in error.message + error.remedy


def test_what_is_repeated_of_an_answer_is_checked() -> None:
    assert code_of({"Error": {"Code": "a\nb"}}) == ""
    assert code_of({}) == ""
    assert request_id_of({"ResponseMetadata": {"RequestId": "x y"}}) == ""
    assert request_id_of({"ResponseMetadata": {"RequestId": "x" * 65}}) == ""
    assert "without an id" in error_of({}).message


WITHOUT_ANSWER: list[tuple[Exception, type[KmsError]]] = [
    (boto.ConnectTimeoutError(endpoint_url="x"), KmsUnavailable),
    (boto.ReadTimeoutError(endpoint_url="x"), KmsUnavailable),
    (boto.EndpointConnectionError(endpoint_url="x"), KmsUnavailable),
    (boto.ConnectionClosedError(endpoint_url="x"), KmsUnavailable),
    (boto.ProxyConnectionError(proxy_url="x"), KmsUnavailable),
    (boto.HTTPClientError(error="x"), KmsUnavailable),
    (boto.ResponseStreamingError(error="x"), KmsUnavailable),
    (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), KmsUnavailable),
    (boto.SSLError(endpoint_url="x", error="y"), KmsUntrusted),
    (boto.NoCredentialsError(), NoCredentials),
    (boto.PartialCredentialsError(provider="x", cred_var="y"), NoCredentials),
    (boto.CredentialRetrievalError(provider="x", error_msg="y"), NoCredentials),
    (boto.ProfileNotFound(profile="x"), NoCredentials),
    (boto.ParamValidationError(report="x"), KmsMisused),
    (OSError(5, "Input/output error"), KmsUnavailable),
]


@pytest.mark.parametrize(("error", "kind"), WITHOUT_ANSWER, ids=lambda each: getattr(each, "__name__", ""))
def test_failures_without_an_answer(error: Exception, kind: type[KmsError]) -> None:
    assert type(error_without_answer(error)) is kind


def test_no_failure_of_botocore_is_without_a_row_and_none_is_repeated() -> None:
    kinds: list[Any] = [
        each
        for each in vars(boto).values()
        if inspect.isclass(each) and issubclass(each, boto.BotoCoreError) and each is not boto.ClientError
    ]
    assert len(kinds) > 50
    for kind in kinds:
        error = error_without_answer(_made(kind))
        assert isinstance(error, KmsError)
        assert "SECRET" not in error.message + error.remedy


class _Anything(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "SECRET"


def _made(kind: type[Exception]) -> Exception:
    """An error of a kind whose text is a secret, whatever its constructor wants."""
    error = kind.__new__(kind)
    error.args = ("SECRET",)
    error.kwargs = _Anything()  # type: ignore[attr-defined]
    return error
