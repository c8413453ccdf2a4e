"""Guarantee 2: only the key-broker reaches the KMS. The import graph shows it, and so does each role's own process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from config import queues
from workers.stack.roles import MONITOR_MODULE, PRELOADED, ROLE_MODULES

ROOT = Path(__file__).parents[1]
KMS = ("crypto.kms", "boto3", "botocore")

# Imports the modules that are named, and then tells all that are in memory.
PROGRAM = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""
OTHERS = {role: module for role, module in ROLE_MODULES.items() if role != queues.KEY_BROKER}
CLIENT = (
    "client.main",
    "client.session",
    "client.job",
    "client.restore.run",
    "client.vaults",
    "client.commands.backup",
)


def loaded(*modules: str) -> set[str]:
    """What a new interpreter has in memory after it has imported these."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *modules],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def reach_the_kms(modules: set[str]) -> set[str]:
    return {name for name in modules if name in KMS or name.startswith(tuple(f"{each}." for each in KMS))}


def test_the_import_graph_keeps_its_contracts() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("role", OTHERS)
def test_a_role_has_no_way_to_the_kms_in_its_process(role: str) -> None:
    """With all that the supervisor has in memory when it forks."""
    found = loaded("workers.stack.supervisor", *PRELOADED, OTHERS[role])
    assert OTHERS[role] in found
    assert reach_the_kms(found) == set()


def test_neither_has_the_monitor_nor_the_command() -> None:
    assert reach_the_kms(loaded(MONITOR_MODULE)) == set()
    assert reach_the_kms(loaded(*CLIENT)) == set()


def test_the_key_broker_has() -> None:
    """The control: the same look finds it where it is."""
    assert "crypto.kms" in reach_the_kms(loaded(ROLE_MODULES[queues.KEY_BROKER]))


def test_a_role_that_would_import_the_kms_is_seen() -> None:
    """The control: the same look finds it in a role that has it by way of another module."""
    assert reach_the_kms(loaded(OTHERS[queues.BACKUP], "workers.key_broker.tasks"))
