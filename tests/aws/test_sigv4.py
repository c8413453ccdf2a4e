"""Requests that are not signed as they should be: refused before anything is looked at."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.aws.keys import Key
from tests.aws.server import FakeAws

ACCOUNT = "111122223333"
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@pytest.fixture
def key(aws: FakeAws) -> Key:
    return aws.keys.create(ACCOUNT)


def tampered(client: Any, change: Callable[[Any], None]) -> Any:
    """A client whose signed requests are changed on their way."""

    def before(request: Any, **_: Any) -> None:
        change(request)

    client.meta.events.register("before-send.kms.*", before)
    return client


def code(client: Any, key: Key) -> str:
    with pytest.raises(ClientError) as refused:
        client.generate_data_key(KeyId=key.arn, NumberOfBytes=32)
    return str(refused.value.response["Error"]["Code"])


def _set(request: Any, name: str, value: str) -> None:
    del request.headers[name]
    request.headers[name] = value


def _body(request: Any) -> None:
    request.body = request.body.replace(b"32", b"33")


def _target(request: Any) -> None:
    _set(request, "X-Amz-Target", "TrentService.Encrypt")


def _extra(request: Any) -> None:
    request.headers["X-Amz-Other"] = "1"


def _unsigned(request: Any) -> None:
    del request.headers["Authorization"]


def _half(request: Any) -> None:
    _set(request, "Authorization", "AWS4-HMAC-SHA256 Credential=x")


def _date(request: Any) -> None:
    _set(request, "X-Amz-Date", "20200101T000000Z")


def _path(request: Any) -> None:
    request.url += "other"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_body, "InvalidSignatureException"),
        (_target, "InvalidSignatureException"),
        (_extra, "InvalidSignatureException"),
        (_date, "InvalidSignatureException"),
        (_path, "InvalidSignatureException"),
        (_half, "IncompleteSignatureException"),
        (_unsigned, "MissingAuthenticationTokenException"),
    ],
)
def test_changed_request_is_refused(
    aws: FakeAws, boto: Any, key: Key, change: Callable[[Any], None], says: str
) -> None:
    client = boto(aws, aws.iam.user(ACCOUNT, "u", ALL))
    client.generate_data_key(KeyId=key.arn, NumberOfBytes=32)
    assert code(tampered(client, change), key) == says


def test_wrong_secret_unknown_id_foreign_and_expired_token(aws: FakeAws, boto: Any, key: Key) -> None:
    role = aws.iam.role(
        f"arn:aws:iam::{ACCOUNT}:role/r",
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}],
        },
        ALL,
    )
    one, other = aws.iam.session(role, "one"), aws.iam.session(role, "other")
    boto(aws, one).generate_data_key(KeyId=key.arn, NumberOfBytes=32)

    def refused(**changes: Any) -> str:
        return code(boto(aws, replace(one, **changes)), key)

    assert refused(secret=other.secret) == "InvalidSignatureException"
    assert refused(token=other.token) == "UnrecognizedClientException"
    assert refused(token="") == "UnrecognizedClientException"
    assert refused(key_id="ASIA0000") == "UnrecognizedClientException"
    aws.session_clock.ahead = 3601
    assert refused() == "ExpiredTokenException"


def test_signature_is_for_one_service(aws: FakeAws, boto: Any, key: Key) -> None:
    """What was signed for STS is no request to KMS: its scope is part of what is signed."""
    user = aws.iam.user(ACCOUNT, "u", ALL)
    client = boto(aws, user)

    def sign(request: Any, **_: Any) -> None:
        target = {"X-Amz-Target": "TrentService.GenerateDataKey"}
        fresh = AWSRequest("POST", request.url, data=request.body, headers=target)
        SigV4Auth(Credentials(user.key_id, user.secret), "sts", "eu-central-1").add_auth(fresh)
        for name in ("X-Amz-Date", "X-Amz-Target", "Authorization"):
            _set(request, name, fresh.headers[name])
        for name in [each for each in request.headers if each.lower().startswith("amz-sdk")]:
            del request.headers[name]

    with pytest.raises(ClientError, match="correct service"):
        tampered(client, sign).generate_data_key(KeyId=key.arn, NumberOfBytes=32)
