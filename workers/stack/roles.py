"""The roles of the stack, and what a process does to become one."""

import importlib
import os
import posix
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, cast

import setproctitle

from config import queues
from workers.role import RoleContext
from workers.stack.errors import StackError

# Each module offers `run(context: RoleContext) -> None`. Only names: the key-broker's imports the KMS, and no
# other process may (guarantee 2).
ROLE_MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        queues.SCHEDULER: "scheduler.tasks",
        queues.KEY_BROKER: "workers.key_broker.tasks",
        queues.BACKUP: "workers.backup.tasks",
        queues.RESTORE: "workers.restore.tasks",
        queues.MAINTENANCE: "workers.maintenance.tasks",
        queues.BEAT: "workers.stack.beat",
    }
)
MONITOR_MODULE: Final = "workers.stack.flower"

# Imported once, before the fork, so that each role starts with them in memory. None of them starts a thread,
# opens a connection or reads a secret when it is imported.
PRELOADED: Final = (
    "blake3",
    "celery.app.amqp",
    "celery.app.builtins",
    "celery.app.control",
    "celery.apps.worker",
    "celery.backends.base",
    "celery.beat",
    "celery.concurrency.prefork",
    "celery.concurrency.solo",
    "celery.concurrency.thread",
    "celery.events",
    "celery.fixups",
    "celery.loaders.app",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.pidbox",
    "celery.worker.strategy",
    "cryptography.cobblestone",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.hpke",
    "cryptography.hazmat.primitives.kdf.hkdf",
    "kombu.asynchronous.hub",
    "kombu.transport.redis",
    "msgspec",
    "pyfastcdc",
    "redis",
    "sqlite3",
    "workers.app",
    "workers.consumer",
    "workers.process",
    "workers.task",
    "zstandard",
)

# Beginnings of names in the environment. Celery would read the address of a broker there, which is not ours.
_CELERY_ENVIRONMENT = ("CELERY_BROKER_",)
# What only the key-broker may know: credentials in AWS_* are those of the KMS.
_KMS_ENVIRONMENT = ("STRONGROOM_KMS_PASSPHRASE", "AWS_")
# What only those who use object stores may know, and what of AWS_* they may: where to look, and no secret.
_STORE_ENVIRONMENT = ("STRONGROOM_S3_",)
_STORE_ROLES = frozenset({queues.BACKUP, queues.RESTORE, queues.MAINTENANCE})
_STORE_MAY_KNOW = (
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_REGION",
    "AWS_SHARED_CREDENTIALS_FILE",
)


class RoleModule(Protocol):
    """A module that is a role."""

    run: Callable[[RoleContext], None]


@dataclass(frozen=True)
class Role:
    """One process of the stack.

    Attributes:
        name: of the role, the log and the broker user.
        module: with `run`.
    """

    name: str
    module: str


def preload(modules: tuple[str, ...] = PRELOADED) -> None:
    """Import what every role needs.

    Raises:
        StackError: the installation is incomplete.
    """
    # billiard reads it when it is imported: SIGTERM then means "end within the soft shutdown time" (notes
    # 1.1).
    os.environ["REMAP_SIGTERM"] = "SIGQUIT"
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise StackError(f"cannot import {error.name}", remedy="install Strongroom again") from error


def become(role: Role, context: RoleContext) -> None:
    """Be `role` in this process, until SIGTERM."""
    setproctitle.setproctitle(f"strongroom: {role.name}")
    _forget(_CELERY_ENVIRONMENT)
    if role.name not in _STORE_ROLES:
        _forget(_STORE_ENVIRONMENT)
    if role.name != queues.KEY_BROKER:
        _forget(_KMS_ENVIRONMENT, spared=_STORE_MAY_KNOW if role.name in _STORE_ROLES else ())
    module = cast(RoleModule, importlib.import_module(role.module))
    module.run(context)
    sys.stdout.flush()


def _forget(beginnings: tuple[str, ...], spared: tuple[str, ...] = ()) -> None:
    for name in [name for name in os.environ if name.startswith(beginnings) and name not in spared]:
        del os.environ[name]
        # The copy from which os.environ was made.
        posix.environ.pop(os.fsencode(name), None)
