"""What answers in place of AWS may do: drip, never end, break off, nest without end. Every one is a KmsError in time.

The times below are what a request may take at most; no test asserts how long one took. Without the bounds these tests
do not end, or end for want of memory.
"""

import json
import resource
import threading
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from crypto.kms.aws import AwsKms
from crypto.kms.aws_session import MAX_ANSWER, AwsSessions
from crypto.kms.aws_uri import AwsOptions, parse_aws_uri
from crypto.kms.errors import KmsError, KmsUnavailable
from tests.aws.pki import make_pki
from tests.evil import Asked, EvilServer, answer, evil

ARN = "arn:aws:kms:eu-central-1:444455556666:key/12345678-1234-1234-1234-123456789012"
ROLE = "arn:aws:iam::444455556666:role/strongroom"
SECRET, TOKEN = "the-secret-key-of-a-session", "the-token-of-a-session"
CREDENTIALS = (
    '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
    f"<AccessKeyId>ASIA0000</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>"
    f"<SessionToken>{TOKEN}</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>"
    "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
)
MEMORY = 64 << 20
"""How much the process may grow by one answer; it is a small part of what the answers below would take."""

Script = Callable[[EvilServer, Asked], Iterable[bytes]]


def kms_of(server: EvilServer, role: str = "", ca: str = "") -> AwsKms:
    options = AwsOptions(
        endpoint=server.url, sts_endpoint=server.url, role=role, ca_file=ca, read_timeout_s=1.0
    )
    return AwsKms(parse_aws_uri(f"aws-kms://{ARN}", options), bytes(16), AwsSessions())


def served(*blocks: bytes) -> Script:
    return lambda server, asked: blocks


SCRIPTS: dict[str, Script] = {
    "status line drips": lambda server, asked: server.drip(answer(b"{}")),
    "headers drip": lambda server, asked: server.drip(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 99, 0.2),
    "interim answers without end": lambda server, asked: server.endless(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body drips": lambda server, asked: server.drip(answer(b"{" + b" " * 1000)),
    "length of a chunk drips": lambda server, asked: (
        block
        for part in (
            [answer(b"", Content_Length="", Transfer_Encoding="chunked")],
            server.drip(b"0" * 1000, 0.2),
        )
        for block in part
    ),
    "refusal drips": lambda server, asked: server.drip(answer(b"{" + b" " * 1000, "400 Bad Request")),
    "body without end": lambda server, asked: (
        block for part in ([answer(b"", Content_Length="")], server.endless(b" " * 65536)) for block in part
    ),
    "refusal without end": lambda server, asked: (
        block
        for part in ([answer(b"", "500 Oh", Content_Length="")], server.endless(b" " * 65536))
        for block in part
    ),
    "larger than any": served(answer(b'{"KeyId":"' + b"a" * MAX_ANSWER + b'"}')),
    "nested": served(answer(b"[" * 50_000)),
    "refusal, nested": served(answer(b'{"message":' + b"[" * 50_000, "400 Bad Request")),
    "cut": served(answer(b'{"Plaintext":"c2VjcmV0', Content_Length="1000")),
    "no HTTP": served(b"SSH-2.0-OpenSSH\r\n"),
    "nothing": served(),
    "a redirect to itself": served(answer(b"", "307 Temporary Redirect", Location="/")),
    "a type that is none": served(answer(b'{"__type":[1]}', "400 Bad Request")),
    "a state that is none": served(
        answer(json.dumps({"KeyMetadata": {"Arn": ARN, "KeyState": [1]}}).encode())
    ),
    "a date that is none": served(
        answer(json.dumps({"KeyMetadata": {"Arn": ARN, "CreationDate": 1e300}}).encode())
    ),
    "a list": served(answer(b'{"KeyMetadata":[]}')),
}


@pytest.fixture(autouse=True)
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA0000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


def grown() -> int:
    """The largest that this process ever was, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_answer_of_a_kms_is_an_error_of_ours(name: str) -> None:
    with evil(lambda asked: SCRIPTS[name](server, asked)) as server:
        kms, before = kms_of(server), grown()
        for call in (lambda: kms.generate({"a": "b"}), kms.create_missing):
            with pytest.raises(KmsError) as caught:
                call()
            assert caught.value.__cause__ is None
            assert caught.value.__context__ is None
        assert grown() - before < MEMORY
        assert len(server.seen) == 2


@pytest.mark.timeout(30)
@pytest.mark.parametrize("tls", [False, True], ids=["in clear", "over TLS"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("headers drip", "in time"),
        ("body drips", "in time"),
        ("length of a chunk drips", "in time"),
        ("body without end", "larger than any"),
    ],
)
def test_the_error_says_which_bound_it_was(name: str, says: str, tls: bool, tmp_path: Path) -> None:
    ca, certificate, key = make_pki(tmp_path)
    with (
        evil(lambda asked: SCRIPTS[name](server, asked), (certificate, key) if tls else None) as server,
        pytest.raises(KmsUnavailable, match=says),
    ):
        kms_of(server, ca=str(ca) if tls else "").generate({"a": "b"})
    assert server.seen


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "cut", [len(CREDENTIALS), CREDENTIALS.index("<SessionToken>"), CREDENTIALS.index("<Expiration>"), 10]
)
def test_no_credential_hangs_on_an_error_of_a_cut_answer(cut: int) -> None:
    text = CREDENTIALS[:cut].replace("2999-01-01T00:00:00Z", "soon")
    with evil(lambda asked: [answer(text.encode())]) as server, pytest.raises(KmsUnavailable) as caught:
        kms_of(server, ROLE).generate({"a": "b"})
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
    assert SECRET not in told
    assert TOKEN not in told
    assert caught.value.__context__ is None


def test_a_session_is_renewed_in_its_time_whatever_the_answer_says() -> None:
    """STS gives none for longer than was asked for."""
    now = [1000.0]
    with evil(
        lambda asked: [answer(CREDENTIALS.encode() if b"AssumeRole" in asked.body else b"{}")]
    ) as server:
        options = AwsOptions(endpoint=server.url, sts_endpoint=server.url, role=ROLE)
        kms = AwsKms(parse_aws_uri(f"aws-kms://{ARN}", options), bytes(16), AwsSessions(lambda: now[0]))
        for later in (0.0, 700.0, 800.0):
            now[0] = 1000.0 + later
            with pytest.raises(KmsError):
                kms.describe()
        assert sum(b"AssumeRole" in asked.body for asked in server.seen) == 2


def test_tenants_do_not_wait_for_anothers_dripping_sts() -> None:
    """The bound is of each; here only that threads of one come back."""
    with evil(lambda asked: server.drip(answer(CREDENTIALS.encode()))) as server:
        kms = kms_of(server, ROLE)
        failed: list[KmsError] = []

        def ask() -> None:
            try:
                kms.generate({"a": "b"})
            except KmsError as error:
                failed.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(failed) == 4
