"""The settings that keep a role safe are really Celery's, and are set."""

from pathlib import Path
from typing import cast

import pytest
from celery.app.defaults import NAMESPACES, flatten

from config import queues
from config.broker import BrokerSettings, tls_options
from config.celery_settings import celery_settings
from config.settings import Settings

URL = "redis+socket://x:y@/s?virtual_host=0"


@pytest.mark.parametrize("role", queues.QUEUE_OF_ROLE)
def test_no_setting_is_unknown_to_celery(role: str) -> None:
    known = {key for key, _ in flatten(NAMESPACES)}
    assert set(celery_settings(role, Settings(), URL)) <= known


def test_roles_share_no_unacknowledged_messages() -> None:
    options = [
        cast("dict[str, str]", celery_settings(role, Settings(), URL)["broker_transport_options"])
        for role in queues.QUEUE_OF_ROLE
    ]
    keys = [option["unacked_key"] for option in options]
    assert len(set(keys)) == len(keys)


def test_only_json_and_no_results() -> None:
    values = celery_settings(queues.BACKUP, Settings(), URL)
    assert values["accept_content"] == ["json"]
    assert values["result_backend"] == "disabled://"
    assert values["task_ignore_result"] is True
    assert values["worker_enable_remote_control"] is False
    assert values["worker_prefetch_multiplier"] == 1
    assert values["task_acks_late"] is True
    assert celery_settings(queues.KEY_BROKER, Settings(), URL)["task_acks_late"] is False


def test_tls_is_told_to_celery_whenever_the_broker_is_reached_by_tls(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    broker = BrokerSettings(url="rediss://h/0", ca_file=str(tmp_path / "ca.pem"))
    values = celery_settings(queues.BACKUP, Settings(broker=broker), broker.url)
    assert values["broker_use_ssl"] == tls_options(broker, broker.url)
    assert "broker_use_ssl" not in celery_settings(queues.BACKUP, Settings(broker=broker), URL)


def test_hosts_share_no_unacknowledged_messages_and_no_queue() -> None:
    one, other = (celery_settings(queues.BACKUP, Settings(), URL, host) for host in ("web1", "web2"))
    assert (one["task_default_queue"], other["task_default_queue"]) == ("backup.web1", "backup.web2")
    assert one["broker_transport_options"] != other["broker_transport_options"]


def test_every_task_belongs_to_the_queue_of_its_name() -> None:
    assert {queues.queue_of_task(task) for task in queues.TASKS} == set(queues.QUEUES)
