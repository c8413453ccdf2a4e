"""What is loaded before the roles are forked, and what is not."""

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


def test_what_cannot_be_imported_is_named() -> None:
    with pytest.raises(StackError, match="no_such_module"):
        preload(("no_such_module",))


def test_there_is_a_module_for_each_role_that_serves_a_queue_and_for_beat() -> None:
    assert set(ROLE_MODULES) == {*queues.QUEUE_OF_ROLE, queues.BEAT}
    assert MONITOR_MODULE not in ROLE_MODULES.values()
