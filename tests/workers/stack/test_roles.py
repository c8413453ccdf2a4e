"""What is loaded before the roles are forked, and what is not."""

import os
import subprocess
import sys

import pytest

from config import queues
from tests.workers.stack_control import ROOT
from workers.stack.errors import StackError
from workers.stack.roles import MONITOR_MODULE, ROLE_MODULES, preload

PRELOAD = """
import sys, threading
from workers.stack.roles import preload
preload()
print(threading.active_count(), len([m for m in sys.modules if m.startswith(("crypto.kms", "boto3"))]))
print("celery.concurrency.prefork" in sys.modules)
"""


def test_the_supervisor_loads_neither_kms_nor_threads() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRELOAD], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True
    )
    assert done.stdout.split() == ["1", "0", "True"]


KNOWN = """
import os, sys, types
from workers.stack import roles
module = types.ModuleType("told")
module.run = lambda context: print(sorted(name for name in os.environ if name.startswith(("AWS_", "STRONGROOM_"))))
sys.modules["told"] = module
roles.become(roles.Role(sys.argv[1], "told"), None)
"""
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "of the KMS",
    "AWS_SECRET_ACCESS_KEY": "of the KMS",
    "AWS_PROFILE": "of the KMS",
    "AWS_SHARED_CREDENTIALS_FILE": "/file",
    "STRONGROOM_KMS_PASSPHRASE": "word",
    "STRONGROOM_S3_SECRET_ACCESS_KEY": "of the store",
}


@pytest.mark.parametrize(
    ("role", "knows"),
    [
        (queues.BACKUP, ["AWS_SHARED_CREDENTIALS_FILE", "STRONGROOM_S3_SECRET_ACCESS_KEY"]),
        (queues.RESTORE, ["AWS_SHARED_CREDENTIALS_FILE", "STRONGROOM_S3_SECRET_ACCESS_KEY"]),
        (queues.MAINTENANCE, ["AWS_SHARED_CREDENTIALS_FILE", "STRONGROOM_S3_SECRET_ACCESS_KEY"]),
        (queues.SCHEDULER, []),
        (queues.BEAT, []),
        (queues.KEY_BROKER, sorted(set(ENVIRONMENT) - {"STRONGROOM_S3_SECRET_ACCESS_KEY"})),
    ],
)
def test_each_role_knows_its_own_credentials_only(role: str, knows: list[str]) -> None:
    others = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "STRONGROOM_"))}
    done = subprocess.run(
        [sys.executable, "-c", KNOWN, role],
        cwd=ROOT,
        env={**others, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == str(knows)


def test_what_cannot_be_imported_is_named() -> None:
    with pytest.raises(StackError, match="no_such_module"):
        preload(("no_such_module",))


def test_there_is_a_module_for_each_role_that_serves_a_queue_and_for_beat() -> None:
    assert set(ROLE_MODULES) == {*queues.QUEUE_OF_ROLE, queues.BEAT}
    assert MONITOR_MODULE not in ROLE_MODULES.values()
