"""The provider over boto3 and real sockets, against the strict fake with the delivered policies."""

import base64
import logging
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from crypto.kms.aws import AwsKms
from crypto.kms.aws_session import RENEW_BEFORE_S, SESSION_S, AwsSessions, silence_boto
from crypto.kms.aws_uri import AwsOptions, parse_aws_uri
from crypto.kms.errors import (
    AccessDenied,
    IncorrectKey,
    InvalidCiphertext,
    KeyDisabled,
    KeyNotFound,
    KeyPendingDeletion,
    KeyUnusable,
    KmsError,
    KmsMisused,
    KmsUnavailable,
    KmsUntrusted,
    NoCredentials,
    Throttled,
)
from crypto.kms.provider import KeyState, WrappedKey
from tests.aws.delivered import EXTERNAL_ID, Customer, Delivered, environment
from tests.aws.keys import Key
from tests.aws.pki import make_pki
from tests.aws.server import CUT, DROP, HOLD, THROTTLE, FakeAws, Fault
from tests.ports import reserved


class Bench:
    """The delivered world, and providers as a key-broker would make them."""

    def __init__(self, aws: FakeAws, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.aws = aws
        self.world = Delivered(aws)
        self._patch, self._folder = patch, folder
        self.now = 0.0
        self.sessions = AwsSessions(lambda: aws.session_clock() + self.now)
        self.be("key-broker")
        self.options = AwsOptions(
            endpoint=aws.url,
            sts_endpoint=aws.url,
            role=self.world.roles["key-broker-tenant"].arn,
            rewrap_role=self.world.roles["rewrap-tenant"].arn,
            external_id=EXTERNAL_ID,
            connect_timeout_s=2.0,
            read_timeout_s=5.0,
        )

    def be(self, role: str) -> None:
        """Be a process on a host of this role."""
        for name, value in environment(self.world.host(role), self._folder).items():
            self._patch.setenv(name, value)
        self.sessions.close()

    def kms(self, key: Key | str, tenant: bytes, **changes: Any) -> AwsKms:
        arn = key if isinstance(key, str) else key.arn
        target = parse_aws_uri(f"aws-kms://{arn}", replace(self.options, **changes))
        return AwsKms(target, tenant, self.sessions)

    def of(self, customer: Customer, **changes: Any) -> AwsKms:
        """The provider of a customer's own CMK on that customer's behalf."""
        return self.kms(customer.key, customer.tenant, **changes)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    aws = FakeAws()
    made = Bench(aws, monkeypatch, tmp_path)
    yield made
    made.sessions.close()
    aws.close()


@pytest.fixture
def a(bench: Bench) -> Customer:
    return bench.world.a


@pytest.fixture
def b(bench: Bench) -> Customer:
    return bench.world.b


def test_generated_key_unwraps_under_its_context(bench: Bench, a: Customer) -> None:
    made = bench.of(a).generate(a.context())
    assert made.wrapped.key_id == a.key.arn
    assert made.wrapped.material_id == a.key.material.current
    assert bytes(made.plaintext.view()) not in made.wrapped.blob
    assert bench.of(a).decrypt(made.wrapped, dict(reversed(a.context().items()))).same_as(made.plaintext)


def test_every_call_names_key_and_context_and_notes_its_request(bench: Bench, a: Customer) -> None:
    noted: list[str] = []
    kms = bench.of(a)
    wrapped = kms.generate(a.context(), noted.append).wrapped
    kms.decrypt(wrapped, a.context(), noted.append)
    kms.describe(noted.append)
    with pytest.raises(InvalidCiphertext):
        kms.decrypt(WrappedKey(wrapped.blob[:-1], wrapped.key_id, ""), a.context(), noted.append)
    calls = [event for event in bench.aws.events if event.operation != "AssumeRole"]
    assert [event.request_id for event in calls] == noted
    assert all(event.request["KeyId"] == a.key.arn for event in calls)
    assert all(
        event.request["EncryptionContext"] == a.context()
        for event in calls
        if event.operation != "DescribeKey"
    )


@pytest.mark.parametrize("name", ["service", "tenant", "vault", "purpose", "epoch", "version"])
def test_other_context_is_refused(bench: Bench, a: Customer, name: str) -> None:
    """By the key, or, for service and tenant, already by the policies."""
    wrapped = bench.of(a).generate(a.context()).wrapped
    for other in (
        a.context() | {name: a.context()[name] + "0"},
        {k: v for k, v in a.context().items() if k != name},
    ):
        with pytest.raises((InvalidCiphertext, AccessDenied)):
            bench.of(a).decrypt(wrapped, other)


def test_altered_blobs_are_refused(bench: Bench, a: Customer) -> None:
    wrapped = bench.of(a).generate(a.context()).wrapped
    for place in range(0, len(wrapped.blob), 9):
        blob = bytearray(wrapped.blob)
        blob[place] ^= 1
        with pytest.raises(InvalidCiphertext) as refused:
            bench.of(a).decrypt(WrappedKey(bytes(blob), wrapped.key_id, wrapped.material_id), a.context())
        assert not refused.value.retryable


def test_key_of_another_cmk_is_refused_without_a_call(bench: Bench, a: Customer) -> None:
    wrapped = bench.of(a).generate(a.context()).wrapped
    for key_id in (bench.world.old.arn, "local-kms:x", "", a.key.arn.replace("eu-central-1", "eu-west-1")):
        with pytest.raises(IncorrectKey):
            bench.of(a).decrypt(WrappedKey(wrapped.blob, key_id, ""), a.context())
    assert not bench.aws.of("Decrypt")


def test_record_that_lies_about_its_key_is_refused_by_aws(bench: Bench, a: Customer) -> None:
    """The blob says itself which key made it."""
    stranger = bench.aws.keys.create(a.account)
    blob = stranger.material.wrap(b"\0" * 32, a.context())
    with pytest.raises(IncorrectKey):
        bench.of(a).decrypt(WrappedKey(blob, a.key.arn, ""), a.context())


@pytest.mark.parametrize("operation", ["GenerateDataKey", "Decrypt", "ReEncrypt", "DescribeKey"])
def test_answer_of_another_key_is_refused(bench: Bench, a: Customer, operation: str) -> None:
    other = a.key.arn[:-4] + "0000"

    def alter(answer: dict[str, Any]) -> dict[str, Any]:
        if operation == "DescribeKey":
            return {"KeyMetadata": answer["KeyMetadata"] | {"Arn": other}}
        return answer | {"KeyId": other}

    wrapped = bench.of(a).generate(a.context()).wrapped
    bench.aws.script(operation, Fault(alter=alter))
    with pytest.raises(IncorrectKey):
        _call(bench, a, operation, wrapped)


def _call(bench: Bench, a: Customer, operation: str, wrapped: WrappedKey) -> Any:
    kms = bench.of(a, rewrap_role="")
    if operation == "ReEncrypt":
        # The tenant role may not: what is tested is the answer, so it may here.
        bench.world.roles["key-broker-tenant"].policies[:] = []
        bench.world.aws.iam.roles[bench.options.role].policies.append(_everything())
        a.key.change(policy=_owned(a))
    return {
        "GenerateDataKey": lambda: kms.generate(a.context()),
        "Decrypt": lambda: kms.decrypt(wrapped, a.context()),
        "ReEncrypt": lambda: kms.reencrypt(wrapped, a.context(), a.context(2)),
        "DescribeKey": kms.describe,
    }[operation]()


def _everything() -> Any:
    from tests.aws.policy import Policy

    return Policy.identity(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
    )


def _owned(a: Customer) -> Any:
    from tests.aws.policy import Policy

    return Policy.resource(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}],
        }
    )


STATES: list[tuple[str, type[KmsError], str, KeyState]] = [
    ("Disabled", KeyDisabled, "disabled", KeyState.DISABLED),
    ("PendingDeletion", KeyPendingDeletion, "destroyed on 2", KeyState.PENDING_DELETION),
    ("PendingReplicaDeletion", KeyPendingDeletion, "scheduled for deletion", KeyState.PENDING_DELETION),
    ("PendingImport", KeyUnusable, "imported material", KeyState.PENDING_IMPORT),
    ("Unavailable", KeyUnusable, "key store", KeyState.UNAVAILABLE),
    ("Creating", KeyUnusable, "being made", KeyState.UNAVAILABLE),
]


@pytest.mark.parametrize(("state", "kind", "says", "described"), STATES)
def test_each_state_of_the_key(
    bench: Bench, a: Customer, state: str, kind: type[KmsError], says: str, described: KeyState
) -> None:
    kms = bench.of(a)
    wrapped = kms.generate(a.context()).wrapped
    deletion = bench.aws.clock() + 10 * 86_400 if state == "PendingDeletion" else 0.0
    a.key.change(state=state, deletion=deletion)
    for call in (
        lambda: kms.generate(a.context()),
        lambda: kms.decrypt(wrapped, a.context()),
        kms.create_missing,
        lambda: kms.probe(a.context()),
    ):
        with pytest.raises(kind, match=says) as refused:
            call()
        assert not refused.value.retryable
    assert kms.describe().state is described
    a.key.change(state="Enabled", deletion=0.0)
    kms.decrypt(wrapped, a.context())


def test_state_is_told_in_general_when_the_key_may_not_be_described(bench: Bench, a: Customer) -> None:
    kms = bench.of(a)
    a.key.change(state="PendingDeletion")
    bench.aws.script("DescribeKey", Fault("AccessDeniedException"))
    with pytest.raises(KeyUnusable, match="state"):
        kms.generate(a.context())


def test_destroyed_key(bench: Bench, a: Customer) -> None:
    kms = bench.of(a)
    a.key.change(state="PendingDeletion", deletion=bench.aws.clock() + 7 * 86_400)
    bench.aws.clock.pass_days(8)
    for call in (lambda: kms.generate(a.context()), kms.describe):
        with pytest.raises(KeyNotFound):
            call()


def test_off_switch_acts_when_it_has_spread_and_is_never_mistaken_for_an_outage(
    bench: Bench, a: Customer
) -> None:
    kms = bench.of(a)
    bench.aws.keys.lag_s = 300
    a.key.change(state="Disabled")
    seen = set()
    for _ in range(6):
        try:
            kms.generate(a.context())
            seen.add("on")
        except KeyDisabled:
            seen.add("off")
    assert seen == {"on", "off"}
    bench.aws.clock.ahead = 301
    for _ in range(4):
        with pytest.raises(KeyDisabled):
            kms.generate(a.context())


def test_rotation_is_shown_by_the_material_and_old_wraps_open(bench: Bench, a: Customer) -> None:
    kms = bench.of(a)
    before = kms.generate(a.context())
    bench.aws.keys.rotate_on_demand(a.key)
    after = kms.generate(a.context())
    assert before.wrapped.material_id != after.wrapped.material_id == kms.describe().material_id
    assert kms.decrypt(before.wrapped, a.context()).same_as(before.plaintext)


def test_replica_in_another_region(bench: Bench, a: Customer) -> None:
    primary = bench.aws.keys.create(a.account, policy=a.key_policy(), multi_region=True)
    replica = bench.aws.keys.replicate(primary, "us-west-2", a.key_policy())
    bench.world.roles["key-broker-tenant"].policies[:] = [_everything()]
    made = bench.kms(primary, a.tenant).generate(a.context())
    there = bench.kms(f"{primary.arn}?region=us-west-2", a.tenant)
    assert there.decrypt(made.wrapped, a.context()).same_as(made.plaintext)
    assert bench.aws.of("Decrypt")[-1].region == "us-west-2"
    # An off switch for each Region: the replica has its own.
    replica.change(state="Disabled")
    with pytest.raises(KeyDisabled):
        there.decrypt(made.wrapped, a.context())
    bench.kms(primary, a.tenant).decrypt(made.wrapped, a.context())


def test_rewrap_moves_a_key_to_another_cmk_and_opens_nothing(bench: Bench, a: Customer) -> None:
    old = bench.kms(bench.world.old, a.tenant)
    blob = bench.world.old.material.wrap(b"k" * 32, a.context())
    wrapped = WrappedKey(blob, bench.world.old.arn, "")
    bench.be("rewrap")
    noted: list[str] = []
    moved = bench.of(a).reencrypt(wrapped, a.context(), a.context(), noted.append)
    assert (moved.key_id, moved.material_id) == (a.key.arn, a.key.material.current)
    assert len(noted) == 1
    for call in (
        lambda: bench.of(a, role=bench.options.rewrap_role).decrypt(moved, a.context()),
        lambda: bench.of(a, role=bench.options.rewrap_role).generate(a.context()),
        lambda: bench.of(a).decrypt(moved, a.context()),
        lambda: old.reencrypt(moved, a.context(), a.context()),
    ):
        with pytest.raises(AccessDenied):
            call()
    bench.be("key-broker")
    assert bytes(bench.of(a).decrypt(moved, a.context()).view()) == b"k" * 32
    with pytest.raises(AccessDenied):
        bench.of(a, rewrap_role="").reencrypt(wrapped, a.context(), a.context())
    with pytest.raises(AccessDenied):
        bench.of(a).reencrypt(wrapped, a.context(), a.context())


def test_rewrap_stays_within_a_region(bench: Bench, a: Customer) -> None:
    far = WrappedKey(b"x", bench.world.old.arn.replace("eu-central-1", "us-west-2"), "")
    with pytest.raises(IncorrectKey, match="Region"):
        bench.of(a).reencrypt(far, a.context(), a.context())


def test_session_is_the_tenants_own(bench: Bench, a: Customer, b: Customer) -> None:
    """One AssumeRole for each tenant, tagged, named by nothing that says who the customer is."""
    for _ in range(3):
        for customer in (a, b):
            bench.of(customer).generate(customer.context())
    first, second = bench.aws.of("AssumeRole")
    assert "Tags.member.1.Value=" + a.tenant.hex() in first.request["query"]
    assert "Tags.member.1.Value=" + b.tenant.hex() in second.request["query"]
    name = bench.aws.of("GenerateDataKey")[0].principal.rpartition("/")[2]
    assert name == f"strongroom-{bench.sessions._instance}-{a.tenant[:4].hex()}"
    assert socket.gethostname() not in name


def test_session_of_one_tenant_opens_nothing_of_another(bench: Bench, a: Customer, b: Customer) -> None:
    """Whatever this code confuses: A's session with B's key, and with B's context, and with both."""
    wrapped = bench.of(b).generate(b.context()).wrapped
    for kms, context in (
        (bench.kms(b.key, a.tenant), b.context()),
        (bench.kms(b.key, a.tenant), a.context()),
    ):
        for call in (
            lambda kms=kms, context=context: kms.decrypt(wrapped, context),
            lambda kms=kms, context=context: kms.generate(context),
        ):
            with pytest.raises(AccessDenied):
                call()
    with pytest.raises(AccessDenied, match="use the key"):
        bench.of(a).generate(b.context())
    bench.of(b).decrypt(wrapped, b.context())


@pytest.mark.parametrize("removed", ["service", "customer"])
def test_each_side_alone_stops_another_tenants_session(
    bench: Bench, a: Customer, b: Customer, removed: str
) -> None:
    """Control: with the policies of both sides opened it works, so it is they that stop it."""
    wrapped = bench.of(b).generate(b.context()).wrapped
    confused = bench.kms(b.key, a.tenant)
    if removed == "service":
        bench.world.roles["key-broker-tenant"].policies[:] = [_everything()]
    else:
        b.key.change(policy=_owned(b))
    with pytest.raises(AccessDenied):
        confused.decrypt(wrapped, b.context())
    bench.world.roles["key-broker-tenant"].policies[:] = [_everything()]
    b.key.change(policy=_owned(b))
    confused.decrypt(wrapped, b.context())


def test_session_without_tag_or_external_id_is_not_given(bench: Bench, a: Customer) -> None:
    with pytest.raises(AccessDenied, match="assume its role") as told:
        bench.of(a, external_id="other").generate(a.context())
    assert "kms.aws_external_id" in told.value.remedy
    assert "AssumeRole" in told.value.remedy
    with pytest.raises(AccessDenied, match="assume its role"):
        bench.kms(a.key, b"short").generate(a.context())
    bench.be("backup")
    with pytest.raises(AccessDenied, match="assume its role"):
        bench.of(a).generate(a.context())


def test_broker_itself_without_a_session_can_do_nothing(bench: Bench, a: Customer) -> None:
    for call in (bench.of(a, role="").describe, lambda: bench.of(a, role="").generate(a.context())):
        with pytest.raises(AccessDenied):
            call()


def test_session_is_renewed_in_time(bench: Bench, a: Customer) -> None:
    bench.of(a).generate(a.context())
    bench.now = SESSION_S - RENEW_BEFORE_S - 5
    bench.of(a).generate(a.context())
    assert len(bench.aws.of("AssumeRole")) == 1
    bench.now = SESSION_S - RENEW_BEFORE_S + 5
    bench.of(a).generate(a.context())
    assert len(bench.aws.of("AssumeRole")) == 2


def test_session_that_aws_ended_is_begun_again_at_the_next_try(bench: Bench, a: Customer) -> None:
    bench.of(a).generate(a.context())
    bench.aws.session_clock.ahead = SESSION_S + 1
    bench.now = -SESSION_S - 1  # the broker's own clock is behind: it does not see that the session ended
    with pytest.raises(KmsUnavailable) as refused:
        bench.of(a).generate(a.context())
    assert refused.value.retryable
    bench.of(a).generate(a.context())
    assert len(bench.aws.of("AssumeRole")) == 2


def test_many_at_once_begin_one_session(bench: Bench, a: Customer) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: bench.of(a).generate(a.context()), range(16)))
    assert len({bytes(each.plaintext.view()) for each in keys}) == 16
    assert len(bench.aws.of("AssumeRole")) == 1


def test_slow_sts_of_one_tenant_holds_up_no_other(bench: Bench, a: Customer, b: Customer) -> None:
    bench.of(b).generate(b.context())
    bench.aws.script("AssumeRole", HOLD)
    slow = threading.Thread(target=lambda: bench.of(a).generate(a.context()))
    slow.start()
    bench.of(b).generate(b.context())
    assert slow.is_alive()
    bench.aws.let_go()
    slow.join(10)
    assert not slow.is_alive()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (THROTTLE, Throttled),
        (Fault("LimitExceededException"), Throttled),
        (Fault("KMSInternalException", 500), KmsUnavailable),
        (Fault("DependencyTimeoutException", 503), KmsUnavailable),
        (Fault("KeyUnavailableException", 500), KmsUnavailable),
        (DROP, KmsUnavailable),
        (CUT, KmsUnavailable),
        (Fault(body=b""), KmsUnavailable),
        (Fault(body=b"{}"), KmsUnavailable),
        (Fault(body=b"[]"), KmsUnavailable),
        (Fault(body=b"<html>gateway</html>"), KmsUnavailable),
        (Fault(alter=lambda answer: answer | {"Plaintext": "AAAA"}), KmsUnavailable),
        (Fault(alter=lambda answer: answer | {"Plaintext": "?"}), KmsUnavailable),
        (Fault(alter=lambda answer: answer | {"Plaintext": 7}), KmsUnavailable),
        (Fault(alter=lambda answer: answer | {"CiphertextBlob": ""}), KmsUnavailable),
        (
            Fault(alter=lambda answer: answer | {"CiphertextBlob": base64.b64encode(bytes(9000)).decode()}),
            KmsUnavailable,
        ),
        (Fault(alter=lambda answer: {k: v for k, v in answer.items() if k != "KeyId"}), KmsUnavailable),
        (Fault("AccessDeniedException"), AccessDenied),
        (Fault("NotFoundException"), KeyNotFound),
        (Fault("InvalidGrantTokenException"), AccessDenied),
        (Fault("DryRunOperationException", 412), KmsMisused),
        (Fault("ValidationException"), KmsMisused),
        (Fault("UnrecognizedClientException"), NoCredentials),
    ],
)
def test_failures_over_the_wire(bench: Bench, a: Customer, fault: Fault, kind: type[KmsError]) -> None:
    kms = bench.of(a)
    kms.generate(a.context())
    bench.aws.script("GenerateDataKey", fault)
    with pytest.raises(kind) as refused:
        kms.generate(a.context())
    assert type(refused.value).retryable == (kind in (Throttled, KmsUnavailable))
    # Nothing of botocore's, which may hold an answer's body, hangs on the error.
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    assert len(bench.aws.of("GenerateDataKey")) == 2, "botocore must not try again by itself"
    kms.generate(a.context())


def test_material_id_that_is_none_is_not_kept(bench: Bench, a: Customer) -> None:
    bench.aws.script("GenerateDataKey", Fault(alter=lambda answer: answer | {"KeyMaterialId": "ACME corp"}))
    assert bench.of(a).generate(a.context()).wrapped.material_id == ""


def test_slow_and_unreachable_kms_is_given_up_in_time(bench: Bench, a: Customer) -> None:
    bench.of(a).generate(a.context())
    bench.aws.script("GenerateDataKey", HOLD)
    with pytest.raises(KmsUnavailable, match="in time") as refused:
        bench.of(a, read_timeout_s=0.2).generate(a.context())
    assert refused.value.retryable
    bench.aws.let_go()
    with reserved(1) as (port,):
        closed = f"http://127.0.0.1:{port}"
        with pytest.raises(KmsUnavailable, match="reached"):
            bench.of(a, endpoint=closed).generate(a.context())
        with pytest.raises(KmsUnavailable, match="reached"):
            bench.of(a, sts_endpoint=closed).generate(a.context())


def test_missing_credentials(bench: Bench, a: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(NoCredentials):
        bench.of(a).generate(a.context())
    with pytest.raises(NoCredentials):
        bench.of(a, profile="nobody").generate(a.context())


def test_endpoint_of_the_environment_is_not_used(
    bench: Bench, a: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not pass the checks of ours."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://kms.invalid")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://kms.invalid")
    target = parse_aws_uri(f"aws-kms://{a.key.arn}", AwsOptions())
    client = bench.sessions.client(target, a.tenant, "")
    assert client.meta.endpoint_url == "https://kms.eu-central-1.amazonaws.com"


def test_tls_with_a_ca_bundle(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ca, certificate, key = make_pki(tmp_path)
    secure = FakeAws((certificate, key))
    try:
        own = Bench(secure, monkeypatch, tmp_path)
        customer = own.world.a
        own.of(customer, ca_file=str(ca)).generate(customer.context())
        with pytest.raises(KmsUntrusted):
            own.of(customer).generate(customer.context())
        with pytest.raises(KmsUntrusted):
            own.of(customer, ca_file=str(tmp_path / "missing.pem")).generate(customer.context())
        (tmp_path / "junk.pem").write_text("junk")
        with pytest.raises(KmsError):
            own.of(customer, ca_file=str(tmp_path / "junk.pem")).generate(customer.context())
        named = secure.url.replace("127.0.0.1", "localhost")
        with pytest.raises(KmsUntrusted):
            own.of(customer, ca_file=str(ca), sts_endpoint=named).generate(customer.context())
        own.sessions.close()
    finally:
        secure.close()


def test_create_missing_makes_nothing_and_refuses_what_no_vault_should_hang_on(
    bench: Bench, a: Customer
) -> None:
    kms = bench.of(a)
    kms.create_missing()
    assert {event.operation for event in bench.aws.events} == {"AssumeRole", "DescribeKey"}
    a.key.manager = "AWS"
    with pytest.raises(KeyUnusable, match="switch it off"):
        kms.create_missing()
    a.key.manager, a.key.spec, a.key.usage = "CUSTOMER", "RSA_2048", "ENCRYPT_DECRYPT"
    with pytest.raises(KeyUnusable, match="symmetric"):
        kms.create_missing()
    with pytest.raises(KeyUnusable, match="symmetric"):
        kms.generate(a.context())


def test_probe_makes_no_key(bench: Bench, a: Customer, b: Customer) -> None:
    bench.of(a).probe(a.context())
    assert bench.aws.of("GenerateDataKey")[-1].error == "DryRunOperationException"
    with pytest.raises(AccessDenied):
        bench.of(a).probe(b.context())
    bench.aws.script("GenerateDataKey", Fault(body=b'{"Plaintext": "AAAA"}'))
    with pytest.raises(KmsUnavailable, match="not AWS KMS"):
        bench.of(a).probe(a.context())


class _Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(record.getMessage())


@pytest.mark.parametrize("silent", [True, False])
def test_no_log_shows_a_key_or_credentials(bench: Bench, a: Customer, silent: bool) -> None:
    """Whatever level is set; with the silence taken away, botocore shows both."""
    kms = bench.of(a)
    kms.generate(a.context())  # the loggers exist now
    names = ["", *(n for n in logging.root.manager.loggerDict if n.startswith(("boto", "urllib3", "crypto")))]
    levels = {name: logging.getLogger(name).level for name in names}
    collected = _Collected()
    logging.getLogger().addHandler(collected)
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.DEBUG)
        if not silent:
            for name in names:
                logging.getLogger(name).filters.clear()
        bench.sessions.close()
        made = kms.generate(a.context()) if silent else _unsilenced(bench, kms, a)
    finally:
        logging.getLogger().removeHandler(collected)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        silence_boto()
    text = "\n".join(collected.text)
    plain = base64.b64encode(bytes(made.plaintext.view())).decode()
    assert (plain in text) is not silent
    assert ("SecretAccessKey" in text) is not silent
    assert (os.environ["AWS_SESSION_TOKEN"] in text) is not silent


def _unsilenced(bench: Bench, kms: AwsKms, a: Customer) -> Any:
    from crypto.kms import aws_session

    real, aws_session.silence_boto = aws_session.silence_boto, lambda: None
    try:
        return kms.generate(a.context())
    finally:
        aws_session.silence_boto = real


def test_boto3_is_not_imported_before_it_is_needed() -> None:
    import subprocess
    import sys

    program = (
        "import sys, crypto.kms.uri as u\n"
        "from crypto.kms.keystore import Keystore\n"
        "from pathlib import Path\n"
        "u.open_provider('aws-kms://arn:aws:kms:eu-central-1:444455556666:key/"
        "11111111-2222-3333-4444-555555555555', bytes(16), u.Backends(Keystore(Path('x'))))\n"
        "sys.exit(any(name.startswith('boto') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert boto3.__version__


def test_any_answer_gives_a_typed_error_or_a_key(bench: Bench, a: Customer) -> None:
    """A broken or hostile endpoint cannot make the provider fail in any other way."""
    import random

    rng, kms = random.Random(7), bench.of(a)
    wrapped = kms.generate(a.context()).wrapped
    values: list[Any] = [None, 0, -1, "", "x", [], {}, [1], {"a": 1}, "A" * 44, True, 1e308]
    for _ in range(150):

        def alter(answer: dict[str, Any]) -> dict[str, Any]:
            for name in rng.sample(sorted(answer), rng.randrange(1, len(answer))):
                answer[name] = rng.choice(values)
            return answer

        operation = rng.choice(["GenerateDataKey", "Decrypt", "DescribeKey"])
        bench.aws.script(operation, Fault(alter=alter))
        try:
            if operation == "Decrypt":
                kms.decrypt(wrapped, a.context())
            elif operation == "DescribeKey":
                kms.describe()
            else:
                kms.generate(a.context())
        except KmsError:
            continue
