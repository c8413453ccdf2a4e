"""How the broker is reached: what is refused, and what TLS is told."""

import ssl
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from config.broker import BrokerSettings, broker_url, check_broker, redis_arguments, tls_options
from config.errors import ConfigError
from config.settings import MonitorSettings, Settings


@pytest.mark.parametrize(
    ("broker", "words"),
    [
        (BrokerSettings(url="amqp://h"), "scheme"),
        (BrokerSettings(url="rediss://h/0"), "ca_file"),
        (BrokerSettings(url="rediss://h/0?ssl_cert_reqs=none", ca_file="ca"), "ssl_cert_reqs"),
        (BrokerSettings(url="rediss://h/0?ssl_check_hostname=false", ca_file="ca"), "ssl_check_hostname"),
        (BrokerSettings(url="redis://broker.example/0"), "another machine"),
        (BrokerSettings(url="redis://10.0.0.1/0"), "another machine"),
        (BrokerSettings(url="redis:///0"), "another machine"),
        (BrokerSettings(url="redis://127.0.0.1:1/0;redis://:PW@192.0.2.2:6379/0"), "another broker"),
        (BrokerSettings(url="redis://127.0.0.1:1/0,redis://192.0.2.2:6379/0"), "another broker"),
        (BrokerSettings(url="rediss://h/0;redis://:PW@192.0.2.2/0", ca_file="ca"), "another broker"),
        (BrokerSettings(url="redis+socket://u:p@/s;redis://192.0.2.2/0"), "another broker"),
        (BrokerSettings(url="redis://127.0.0.1\\@192.0.2.2/0"), "another broker"),
        (BrokerSettings(url="redis://127.0.0.1/0#@192.0.2.2"), "another broker"),
        (BrokerSettings(url="redis://127.0.0.1.example.com/0"), "another machine"),
        (BrokerSettings(url="rediss://h/0", ca_file="ca", cert_file="c"), "key_file"),
        (BrokerSettings(url="rediss://u:p@h/0", ca_file="ca", password_file="p"), "password"),
    ],
)
def test_a_broker_that_could_be_listened_to_is_refused(broker: BrokerSettings, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        check_broker(broker)
    assert refusal.value.remedy


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://127.0.0.1:6379/0",
        "redis://[::1]/0",
        "redis://localhost/0",
        "redis+socket://u:p@/s?virtual_host=0",
    ],
)
def test_what_stays_on_this_machine_needs_no_tls(url: str) -> None:
    check_broker(BrokerSettings(url=url))
    assert tls_options(BrokerSettings(url=url), url) == {}


def test_tls_verifies_certificate_and_name_and_is_mutual(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).touch()
    broker = BrokerSettings(
        url="rediss://h/0",
        ca_file=str(tmp_path / "ca"),
        cert_file=str(tmp_path / "cert"),
        key_file=str(tmp_path / "key"),
    )
    assert tls_options(broker, broker.url) == {
        "ssl_cert_reqs": "required",
        "ssl_ca_certs": broker.ca_file,
        "ssl_check_hostname": True,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        "ssl_certfile": broker.cert_file,
        "ssl_keyfile": broker.key_file,
    }
    assert redis_arguments(broker, broker.url) == (broker.url, tls_options(broker, broker.url))


def test_a_url_from_elsewhere_is_not_spared_the_check() -> None:
    with pytest.raises(ConfigError, match="ca_file"):
        redis_arguments(BrokerSettings(), "rediss://u:p@h/0")


def test_a_tls_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    broker = BrokerSettings(url="rediss://h/0", ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match=r"ca_file.*none\.pem"):
        tls_options(broker, broker.url)


def test_no_password_from_a_file_begins_another_broker(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a;redis://192.0.2.2,b#c\\ d\n")
    broker = BrokerSettings(url="redis://127.0.0.1/0", password_file=str(tmp_path / "password"))
    check_broker(broker)
    made = broker_url(broker, "backup")
    assert not set(made) & set(";,#\\ ")
    assert unquote(urlsplit(made).password or "") == "a;redis://192.0.2.2,b#c\\ d"


def test_the_password_comes_from_its_file_and_the_user_from_the_role(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p@ss/word: 1\nsecond line\n")
    broker = BrokerSettings(url="rediss://h:6380/0", ca_file="ca", password_file=str(secret))
    found = urlsplit(broker_url(broker, "backup.web1"))
    assert (found.username, unquote(found.password or "")) == ("backup.web1", "p@ss/word: 1")
    assert (found.hostname, found.port, found.path) == ("h", 6380, "/0")
    named = BrokerSettings(url=broker.url, ca_file="ca", user="me", password_file=str(secret))
    assert urlsplit(broker_url(named, "backup")).username == "me"


def test_a_url_with_user_and_password_stays_what_it_is() -> None:
    for url in ("redis+socket://u:p@/run/s?virtual_host=0", "redis://u:p@127.0.0.1:6379/0"):
        assert broker_url(BrokerSettings(url=url), "backup") == url


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_password_file_without_a_password_is_named(tmp_path: Path, content: str | None) -> None:
    secret = tmp_path / "password"
    if content is not None:
        secret.write_text(content)
    with pytest.raises(ConfigError, match=r"password_file.*password"):
        broker_url(BrokerSettings(url="redis://localhost/0", password_file=str(secret)), "client")


def test_passwords_are_not_in_what_a_debugger_prints() -> None:
    broker = BrokerSettings(url="redis://me:hush@127.0.0.1/0", user="me")
    assert "hush" not in repr(Settings(broker=broker, monitor=MonitorSettings(flower_password="hush")))
    assert "me" in repr(broker)
