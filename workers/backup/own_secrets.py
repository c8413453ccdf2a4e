"""Where a worker's own secrets are: what no backup may read, whoever asks for it.

With them an operator, who may ask for any backup and its restore, would become the worker: have its identity, its user
on the broker and its keys for the store.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from config.home import Home
from config.settings import Settings

SYSTEMD_CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
AWS_FILES: Final = (
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)


def own_secrets(
    home: Home, settings: Settings, environment: Mapping[str, str] = os.environ
) -> Iterator[Path]:
    """Files and folders that hold secrets of the installation in `home`; not all of them need exist.

    The rest of a home may be backed up: ledger, audit log, registry, logs.

    Args:
        home: of the worker, which in an embedded stack is every role's.
        settings: of the worker.
        environment: of its process.
    """
    yield from _of_home(home)
    broker, kms, monitor = settings.broker, settings.kms, settings.monitor
    if monitor.flower_password or urlsplit(broker.url).password:
        yield home.settings_file
    named = (
        broker.password_file,
        broker.key_file,
        kms.keystore,
        kms.passphrase_file,
        monitor.flower_password_file,
        monitor.flower_key_file,
        environment.get(SYSTEMD_CREDENTIALS, ""),
    )
    yield from (Path(path) for path in named if path)
    # The embedded stack uses what its user has for himself, and wants in a backup of his own files.
    if broker.url:
        # Homes of other roles on this machine are beside it.
        for registry in home.root.parent.glob("*/registry.json"):
            yield from _of_home(Home(registry.parent))
        yield Path(os.path.expanduser("~/.aws"))
        yield from (Path(environment[name]) for name in AWS_FILES if environment.get(name))


def _of_home(home: Home) -> Iterator[Path]:
    yield from (home.identities, home.kms_dir, home.run_dir)
