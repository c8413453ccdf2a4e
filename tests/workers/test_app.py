"""The application of a role connects where its settings say, and declares nothing."""

import pytest

from config.queues import BACKUP, MONITOR, QUEUES, RESTORE
from config.settings import Settings, WorkerSettings
from workers.app import EMBEDDED_NODE, SealedApp, make_app
from workers.broker import ListeningAMQP, StrictAMQP

OURS = "redis+socket://backup:x@/run/ours.sock?virtual_host=0"
FOREIGN = "redis://somebody-else:1/0"


def test_a_broker_of_the_environment_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        monkeypatch.setenv(name, FOREIGN)
    app = make_app(BACKUP, Settings(), OURS)
    for connect in (app.connection, app.connection_for_read, app.connection_for_write):
        with connect() as connection:
            assert "ours.sock" in str(connection.as_uri()) + str(connection.virtual_host) + str(
                connection.hostname
            )
            assert "somebody-else" not in str(connection.as_uri(include_password=True))


@pytest.mark.parametrize(
    ("role", "host", "extra"),
    [(BACKUP, "", {"backup"}), (BACKUP, "desk", {"backup.desk"}), (RESTORE, "", set())],
)
def test_every_queue_is_known_and_none_is_declared(role: str, host: str, extra: set[str]) -> None:
    app = make_app(role, Settings(), OURS, host)
    assert {queue.name for queue in app.conf.task_queues} == set(QUEUES) | extra
    assert all(queue.no_declare and queue.exchange.no_declare for queue in app.conf.task_queues)
    assert not app.conf.task_create_missing_queues


def test_only_the_monitor_listens_to_events() -> None:
    kinds = {role: make_app(role, Settings(), OURS).amqp for role in (BACKUP, MONITOR)}
    assert isinstance(kinds[BACKUP], StrictAMQP)
    assert isinstance(kinds[MONITOR], ListeningAMQP)


def test_an_application_is_never_the_current_one() -> None:
    from celery import current_app

    app = make_app(BACKUP, Settings(), OURS)
    assert current_app._get_current_object() is not app


def test_the_monitor_sees_which_host_a_worker_is_on() -> None:
    assert make_app(BACKUP, Settings(), OURS).node == EMBEDDED_NODE
    from config.broker import BrokerSettings

    external = Settings(
        broker=BrokerSettings(url="redis://127.0.0.1:6379/0"), workers=WorkerSettings(node="web1")
    )
    named: SealedApp = make_app(BACKUP, external, OURS)
    assert named.node == "web1"
