"""Putting a key service together from an installation's home and settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from config.home import Home
from config.settings import KmsSettings
from crypto.kms.aws_uri import AwsOptions, require_sound
from crypto.kms.errors import AccessDenied
from crypto.kms.keystore import Keystore
from crypto.kms.lock import MAX_PASSPHRASE_BYTES, PASSPHRASE_VARIABLE, Passphrase
from crypto.kms.uri import Backends, open_provider
from crypto.registry import KEY_BROKER
from workers.key_broker.gateway import GatewayParts, KmsGateway
from workers.key_broker.limits import CallLimits, Rate
from workers.key_broker.seats import Seats
from workers.key_broker.service import THREADS, KeyService, ServiceParts
from workers.key_broker.state import BrokerState
from workers.process import RegistryFile, load_identity


def build_service(home: Home, settings: KmsSettings, threads: int = THREADS) -> KeyService:
    """The key service of an installation. Call it after the fork: it opens the database and holds keys.

    Args:
        threads: that will call it.

    Raises:
        ConfigError: the broker has no identity file, or a damaged one.
        StateError: the database cannot be opened.
    """
    gateway = build_gateway(home, settings)
    identity = load_identity(home, KEY_BROKER)
    return KeyService(
        ServiceParts(
            identity,
            RegistryFile(home.registry_file).current,
            BrokerState(home.broker_db),
            gateway,
            Seats(threads),
        )
    )


def build_gateway(home: Home, settings: KmsSettings) -> KmsGateway:
    """The gateway with this installation's keystore, way to AWS and limits.

    Raises:
        UnsupportedKms: a setting for AWS is malformed.
    """
    folder = Path(settings.keystore) if settings.keystore else home.kms_dir
    backends = Backends(Keystore(folder, passphrase_of(settings, os.environ)), aws_options(settings))
    limits = CallLimits(
        Rate(settings.rate, settings.burst), Rate(settings.tenant_rate, settings.tenant_burst)
    )
    return KmsGateway(
        GatewayParts(lambda uri, tenant: open_provider(uri, tenant, backends), limits, settings.deadline_s)
    )


def aws_options(settings: KmsSettings) -> AwsOptions:
    """How AWS is reached where a vault's KMS URI does not say otherwise.

    Raises:
        UnsupportedKms: a setting is malformed.
    """
    options = AwsOptions(
        endpoint=settings.aws_endpoint,
        sts_endpoint=settings.aws_sts_endpoint,
        role=settings.aws_role,
        rewrap_role=settings.aws_rewrap_role,
        external_id=settings.aws_external_id,
        ca_file=settings.aws_ca_file,
        profile=settings.aws_profile,
        connect_timeout_s=settings.aws_connect_timeout_s,
        read_timeout_s=settings.aws_read_timeout_s,
    )
    require_sound(options)
    return options


def passphrase_of(settings: KmsSettings, environment: Mapping[str, str]) -> Passphrase | None:
    """How to get the keystore's passphrase: the first line of the file that the settings name, else the environment.

    Returns:
        None when neither is there: the keystore is locked with a key file. The function reads the file each time that
        the keystore is unlocked, and raises AccessDenied when it cannot.
    """
    if settings.passphrase_file:
        return partial(_first_line, Path(settings.passphrase_file))
    if environment.get(PASSPHRASE_VARIABLE):
        return environment[PASSPHRASE_VARIABLE].encode
    return None


def _first_line(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.readline(MAX_PASSPHRASE_BYTES + 2).rstrip(b"\r\n")
    except OSError as error:
        raise AccessDenied(
            f"the file that kms.passphrase_file names cannot be read: {error.strerror}",
            remedy="correct the path or its permissions",
        ) from error
