"""What recurs: the tables `[[schedules]]` and `[[retention]]` of config.toml.

Both have slots, which are when `cron` says in `timezone`, and share one space of names, by which the ledger knows them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError

from config.errors import ConfigError
from config.explain import cron_remedy
from config.keep import BUCKET, COUNTS, MAX_UNUSED, MOST, read_path, read_span, read_tags
from config.queues import HOST_PATTERN

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
HostName = Annotated[str, msgspec.Meta(pattern=rf"^({HOST_PATTERN})?\Z")]
SourcePath = Annotated[str, msgspec.Meta(pattern=r"^(/|s3://[^/])")]
SnapshotPath = Annotated[str, msgspec.Meta(pattern=r"^(/|s3://[^/])[^\0]*\Z")]
SomeText = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)] | Literal["unlimited"]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named backup that recurs.

    Attributes:
        paths: absolute, or `s3://bucket/prefix?options`.
        cron: five fields, read in `timezone`.
        catch_up: whether a run that was missed is made up for, once.
        host: the host that reads the paths; empty: the vault's, or any backup worker.
    """

    name: Name
    vault: Name
    paths: Annotated[tuple[SourcePath, ...], msgspec.Meta(min_length=1)]
    cron: str
    timezone: str = "UTC"
    excludes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    catch_up: bool = True
    host: HostName = ""


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named policy by which snapshots of a vault are forgotten, again and again: `strongroom forget` by itself.

    Attributes:
        cron, timezone, catch_up: as a schedule's. The policy's own days, weeks, months and years are UTC's.
        hosts, tags, paths: which snapshots it is about, as `--host`, `--tag` and `--path`; all others stay. A path as
            `strongroom snapshots` shows it, or the URI of objects.
        keep_last to keep_yearly: how many of each are kept, or "unlimited".
        keep_within: a span such as "30d" or "1y6m".
        keep_tags: each a tag, or "a,b" for both together.
        prune: whether what no snapshot needs is freed after each forget that ended well.
        max_unused: percent that such a prune may leave unused.
    """

    name: Name
    vault: Name
    cron: str
    timezone: str = "UTC"
    catch_up: bool = True
    hosts: tuple[SomeText, ...] = ()
    tags: tuple[SomeText, ...] = ()
    paths: tuple[SnapshotPath, ...] = ()
    keep_last: Count = 0
    keep_hourly: Count = 0
    keep_daily: Count = 0
    keep_weekly: Count = 0
    keep_monthly: Count = 0
    keep_yearly: Count = 0
    keep_within: str = ""
    keep_tags: tuple[SomeText, ...] = ()
    prune: bool = False
    max_unused: Percent = MAX_UNUSED


Recurring = Schedule | Retention


def check_recurring(schedules: Sequence[Schedule], retention: Sequence[Retention], where: str) -> None:
    """Check what the types of the fields do not say.

    Args:
        where: the file, for the message.

    Raises:
        ConfigError: names the table and the key.
    """
    names: set[str] = set()
    for table, recurring in (("schedules", schedules), ("retention", retention)):
        for each in recurring:
            if each.name in names:
                raise ConfigError(
                    f"{where}: two entries are named {each.name}",
                    remedy="rename one; [[schedules]] and [[retention]] share their names",
                )
            names.add(each.name)
            _check_slots(each, f"{where}: {table}.{each.name}")
    for schedule in schedules:
        _check_paths(schedule, f"{where}: schedules.{schedule.name}")
    for policy in retention:
        _check_policy(policy, f"{where}: retention.{policy.name}")


def _check_slots(recurring: Recurring, where: str) -> None:
    try:
        CronSim(recurring.cron, datetime.now(UTC))
    except CronSimError as error:
        raise ConfigError(
            f"{where}.cron: {recurring.cron!r}: {error}", remedy=cron_remedy(recurring.cron, _is_cron)
        ) from error
    try:
        ZoneInfo(recurring.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(
            f"{where}.timezone: {recurring.timezone!r} is unknown", remedy="use a name such as Europe/Berlin"
        ) from error


def _is_cron(text: str) -> bool:
    try:
        CronSim(text, datetime.now(UTC))
    except CronSimError:
        return False
    return True


def _check_paths(schedule: Schedule, where: str) -> None:
    if len({path.startswith(BUCKET) for path in schedule.paths}) > 1:
        raise ConfigError(
            f"{where}.paths: files and objects do not go into one snapshot",
            remedy="make a schedule for each on its own",
        )


def _check_policy(policy: Retention, where: str) -> None:
    try:
        read_span(policy.keep_within)
    except ValueError as error:
        raise ConfigError(
            f"{where}.keep_within: {policy.keep_within!r} is no span of time",
            remedy="write such as 30d, 1y6m or 36h",
        ) from error
    for key, texts in (("tags", policy.tags), ("keep_tags", policy.keep_tags)):
        try:
            read_tags(texts)
        except ValueError as error:
            raise ConfigError(
                f"{where}.{key}: an empty tag", remedy='write "TAG", or "TAG,TAG" for both together'
            ) from error
    for path in policy.paths:
        try:
            read_path(path)
        except ValueError as error:
            raise ConfigError(
                f"{where}.paths: {path!r} names no objects",
                remedy="write s3://bucket/prefix, or the path as `strongroom snapshots` shows it",
            ) from error
    if policy.max_unused != MAX_UNUSED and not policy.prune:
        raise ConfigError(
            f"{where}.max_unused is for a prune, and there is none",
            remedy="add prune = true, or remove max_unused",
        )
    if not (
        policy.keep_within or policy.keep_tags or any(getattr(policy, f"keep_{each}") for each in COUNTS)
    ):
        raise ConfigError(
            f"{where} keeps nothing: every snapshot would be forgotten",
            remedy="say what stays, as keep_daily = 7; to remove all of something, use `strongroom forget`",
        )
