"""Sessions with AWS: each tenant's own, renewed in time, and nothing of them in a log."""

import base64
import logging
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from crypto.kms.aws import AwsKms
from crypto.kms.aws_session import RENEW_BEFORE_S, SESSION_S, silence_boto
from crypto.kms.aws_uri import AwsOptions, parse_aws_uri
from crypto.kms.errors import (
    AccessDenied,
    KmsError,
    KmsUnavailable,
    KmsUntrusted,
    NoCredentials,
)
from tests.aws.delivered import Customer
from tests.aws.pki import make_pki
from tests.aws.server import HOLD, FakeAws
from tests.crypto.kms.aws_bench import Bench, everything, owned


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
        bench.world.roles["key-broker-tenant"].policies[:] = [everything()]
    else:
        b.key.change(policy=owned(b))
    with pytest.raises(AccessDenied):
        confused.decrypt(wrapped, b.context())
    bench.world.roles["key-broker-tenant"].policies[:] = [everything()]
    b.key.change(policy=owned(b))
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


class _Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(record.getMessage())


def _unsilenced(bench: Bench, kms: AwsKms, a: Customer) -> Any:
    from crypto.kms import aws_session

    real, aws_session.silence_boto = aws_session.silence_boto, lambda: None
    try:
        return kms.generate(a.context())
    finally:
        aws_session.silence_boto = real
