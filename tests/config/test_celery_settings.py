"""The settings that keep a role safe are really Celery's, and are set."""

from typing import cast

import pytest
from celery.app.defaults import NAMESPACES, flatten

from config import queues
from config.celery_settings import celery_settings
from config.settings import BrokerSettings, Settings

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


def test_tls_verifies() -> None:
    broker = BrokerSettings(url="rediss://h/0", ca_file="ca.pem", cert_file="c.pem", key_file="k.pem")
    options = celery_settings(queues.BACKUP, Settings(broker=broker), broker.url)["broker_use_ssl"]
    assert options == {
        "ssl_cert_reqs": "required",
        "ssl_ca_certs": "ca.pem",
        "ssl_check_hostname": True,
        "ssl_certfile": "c.pem",
        "ssl_keyfile": "k.pem",
    }


def test_every_task_belongs_to_the_queue_of_its_name() -> None:
    assert {queues.queue_of_task(task) for task in queues.TASKS} == set(queues.QUEUES)
