"""The settings: one typed model, read from config.toml and then from STRONGROOM_<SECTION>_<KEY>.

A setting that is unknown, of a wrong type or out of range is an error that names it: a typing mistake never
becomes a default.
"""

import os
import tomllib
from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec

from config.broker import BrokerSettings, check_broker, is_loopback
from config.errors import ConfigError
from config.explain import explain
from config.home import Home
from config.schedules import Name, Recurring, Retention, Schedule, check_recurring
from config.secret_files import first_line

MAX_SETTINGS_BYTES = 1 << 20
# Longest life of a DEK in a worker's memory (DESIGN.md, Keys).
MAX_CACHE_AGE_S = 900
MAX_PROCESSES = 256

# Variables with our prefix that are no settings: secrets and the home itself have no place in a file.
NOT_SETTINGS = frozenset({"STRONGROOM_HOME", "STRONGROOM_KMS_PASSPHRASE"})

Processes = Annotated[int, msgspec.Meta(ge=1, le=MAX_PROCESSES)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Timeout = Annotated[float, msgspec.Meta(gt=0, le=60)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
OptionalName = Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$")]


def cpu_count() -> int:
    """How many processors this process may use, at least 1."""
    return max(1, len(os.sched_getaffinity(0)))


class WorkerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many processes (or threads) each role runs.

    Attributes:
        node: what this host's workers are called in the monitor; empty: the host's name, and `strongroom` in the
            embedded stack. The broker and the monitor show it.
    """

    backup: Processes = msgspec.field(default_factory=cpu_count)
    restore: Processes = msgspec.field(default_factory=cpu_count)
    maintenance: Processes = 1
    keys_threads: Processes = 8
    node: OptionalName = ""


class CacheSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The DEK cache of a worker process; `max_age_s` bounds how long the customer's off switch takes."""

    max_age_s: Annotated[int, msgspec.Meta(ge=1, le=MAX_CACHE_AGE_S)] = 300


class KmsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Calls to the KMS.

    Attributes:
        rate, burst: calls per second and bucket size over all tenants.
        tenant_rate, tenant_burst: the same for each tenant.
        deadline_s: seconds within which a call, with all its retries, has to succeed.
        keystore: folder of `local-kms://`; empty: `kms` below the home.
        passphrase_file: file whose first line opens the keystore; empty: a key file beside it.
        aws_endpoint, aws_sts_endpoint: URLs of `aws-kms://` keys' KMS and STS; empty: the public ones.
        aws_role: ARN of the role that the key-broker assumes for each tenant, tagged with it; empty: none.
        aws_rewrap_role: the same for re-encryption alone; empty: as `aws_role`.
        aws_external_id: what those roles' trust policies may ask for; no secret.
        aws_ca_file: PEM of the CAs that sign the endpoints' certificates; empty: the public ones.
        aws_profile: of the AWS configuration files; empty: what boto3 finds.
        aws_connect_timeout_s, aws_read_timeout_s: of one call, until all of its answer is there; `deadline_s` bounds
            all its tries.
    """

    rate: Positive = 50.0
    burst: Annotated[int, msgspec.Meta(ge=1)] = 100
    tenant_rate: Positive = 20.0
    tenant_burst: Annotated[int, msgspec.Meta(ge=1)] = 40
    deadline_s: Positive = 10.0
    keystore: str = ""
    passphrase_file: str = ""
    aws_endpoint: str = ""
    aws_sts_endpoint: str = ""
    aws_role: str = ""
    aws_rewrap_role: str = ""
    aws_external_id: str = ""
    aws_ca_file: str = ""
    aws_profile: str = ""
    aws_connect_timeout_s: Timeout = 1.0
    aws_read_timeout_s: Timeout = 3.0


class EpochSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a vault's epoch closes and another DEK begins."""

    max_age_days: Annotated[int, msgspec.Meta(ge=1)] = 30


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How this host uses object stores; where they are, a vault's URI says.

    Attributes:
        parallel: requests to S3 under way at once, for each process.
        max_mib_per_s: bandwidth of each process, read and written together; 0: all there is.
        deadline_s: for how long a failed operation is tried again.
        connect_timeout_s: until a connection must be there.
        read_timeout_s: until the next bytes of an answer must be there, and for all of it together, to which the time
            is added that its bytes take at 64 KiB/s.
        source_endpoints: URLs of servers, beside AWS and the vault's own, on which buckets may be backed up; only where
            `broker.url` is set.
    """

    parallel: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    max_mib_per_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    deadline_s: Positive = 30.0
    connect_timeout_s: Positive = 5.0
    read_timeout_s: Positive = 20.0
    source_endpoints: tuple[str, ...] = ()


class DeliverySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where restore workers may put parcels.

    Attributes:
        area: URI of the area that commands ask for; empty: the home's own folder.
        areas: URIs of further areas that a request may name; one for any other is refused.
    """

    area: str = ""
    areas: tuple[str, ...] = ()


class MonitorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Watching from outside.

    Attributes:
        events: whether workers send task events (`up --flower` turns them on by itself).
        flower_address: where Flower listens; another address than loopback needs a certificate.
        flower_port: 0: any free one (embedded stack only).
        flower_user, flower_password: for basic authentication; empty password: a random one for each run of the
            embedded stack.
        flower_password_file: file whose first line is the password.
        flower_cert_file, flower_key_file: Flower over TLS, PEM.
        flower_client_ca_file: Flower asks for a client certificate of this CA as well.
    """

    events: bool = False
    flower_address: str = "127.0.0.1"
    flower_port: Port = 5555
    flower_user: Name = "strongroom"
    flower_password: str = ""
    flower_password_file: str = ""
    flower_cert_file: str = ""
    flower_key_file: str = ""
    flower_client_ca_file: str = ""

    def __repr__(self) -> str:
        # As of a broker: without the password.
        return f"{type(self).__name__}(flower_user={self.flower_user!r}, ...)"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of one installation; every field has a default that works."""

    broker: BrokerSettings = msgspec.field(default_factory=BrokerSettings)
    workers: WorkerSettings = msgspec.field(default_factory=WorkerSettings)
    cache: CacheSettings = msgspec.field(default_factory=CacheSettings)
    kms: KmsSettings = msgspec.field(default_factory=KmsSettings)
    epoch: EpochSettings = msgspec.field(default_factory=EpochSettings)
    store: StoreSettings = msgspec.field(default_factory=StoreSettings)
    delivery: DeliverySettings = msgspec.field(default_factory=DeliverySettings)
    monitor: MonitorSettings = msgspec.field(default_factory=MonitorSettings)
    schedules: tuple[Schedule, ...] = ()
    retention: tuple[Retention, ...] = ()

    @property
    def recurring(self) -> tuple[Recurring, ...]:
        """Schedules and retention, in this order."""
        return (*self.schedules, *self.retention)


_Section = TypeVar("_Section", bound=msgspec.Struct)


def flower_password(monitor: MonitorSettings) -> str:
    """The password that Flower asks for; empty when none is set.

    Raises:
        ConfigError: its file cannot be read.
    """
    if monitor.flower_password_file:
        return first_line("monitor.flower_password_file", monitor.flower_password_file)
    return monitor.flower_password


def load(home: Home, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of `home`; the environment wins over the file, the file over the defaults.

    Args:
        home: where config.toml may be; a file that is not there means defaults.
        environment: instead of this process's own.

    Raises:
        ConfigError: unreadable file, unknown key, bad value; names the file or variable and the key.
    """
    settings = _from_file(home)
    variables = {
        name: value
        for name, value in (os.environ if environment is None else environment).items()
        if name.startswith("STRONGROOM_") and name not in NOT_SETTINGS
    }
    settings = msgspec.structs.replace(
        settings,
        broker=_with_environment(settings.broker, "broker", variables),
        workers=_with_environment(settings.workers, "workers", variables),
        cache=_with_environment(settings.cache, "cache", variables),
        kms=_with_environment(settings.kms, "kms", variables),
        epoch=_with_environment(settings.epoch, "epoch", variables),
        store=_with_environment(settings.store, "store", variables),
        delivery=_with_environment(settings.delivery, "delivery", variables),
        monitor=_with_environment(settings.monitor, "monitor", variables),
    )
    check_broker(settings.broker)
    _check_monitor(settings.monitor)
    check_recurring(settings.schedules, settings.retention, str(home.settings_file))
    return settings


def _from_file(home: Home) -> Settings:
    path = home.settings_file
    try:
        with path.open("rb") as file:
            text = file.read(MAX_SETTINGS_BYTES + 1)
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}", remedy="make it a file that you can read"
        ) from error
    if len(text) > MAX_SETTINGS_BYTES:
        raise ConfigError(
            f"{path} is larger than {MAX_SETTINGS_BYTES} bytes", remedy="remove what is no setting"
        )
    try:
        read = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", remedy="correct that line") from error
    try:
        return msgspec.convert(read, Settings)
    except msgspec.ValidationError as error:
        message, remedy = explain(error, read, Settings)
        raise ConfigError(f"{path}: {message}", remedy=remedy) from error


def _with_environment(section: _Section, name: str, variables: Mapping[str, str]) -> _Section:
    prefix = f"STRONGROOM_{name.upper()}_"
    fields = {prefix + field.name.upper(): field for field in msgspec.structs.fields(section)}
    changes: dict[str, object] = {}
    for variable, text in variables.items():
        if not variable.startswith(prefix):
            continue
        if variable not in fields:
            raise ConfigError(
                f"environment variable {variable} names no setting", remedy=f"use one of {', '.join(fields)}"
            )
        field = fields[variable]
        try:
            changes[field.name] = msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(
                f"environment variable {variable}: {explain(error).message}", remedy="correct or unset it"
            ) from error
    return msgspec.structs.replace(section, **changes)


def _check_monitor(monitor: MonitorSettings) -> None:
    if bool(monitor.flower_cert_file) != bool(monitor.flower_key_file):
        raise ConfigError(
            "monitor.flower_cert_file and monitor.flower_key_file come together",
            remedy="name both files, or none",
        )
    if not is_loopback(monitor.flower_address) and not monitor.flower_cert_file:
        raise ConfigError(
            "monitor.flower_address is no loopback address, and Flower would send its password in the clear",
            remedy="set monitor.flower_cert_file and flower_key_file, or use 127.0.0.1",
        )
    if monitor.flower_client_ca_file and not monitor.flower_cert_file:
        raise ConfigError(
            "monitor.flower_client_ca_file without monitor.flower_cert_file", remedy="name a certificate, too"
        )
    if monitor.flower_password and monitor.flower_password_file:
        raise ConfigError(
            "there is a password in monitor.flower_password and in monitor.flower_password_file",
            remedy="remove one of them",
        )
