"""Which snapshots stay: a policy applied to the snapshots of a vault, group by group. Pure; times are UTC.

The rules are restic's: for each of hourly to yearly, the newest snapshot of each of so many hours (days, ...) that have
one; as long as fewer are there, the oldest one as well. A snapshot stays if any rule keeps it. Doing it again, also
after only some of the others were removed, keeps the same ones.

One thing is not restic's: a snapshot of a clock that was ahead stays, and no rule sees it. As the newest, it would take
the place of a good one, and a span that is counted back from it would hold none.
"""

import calendar
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple

from crypto.job import NO_POLICY, KeepPolicy, SnapshotFilter
from repository.manifest import Snapshot

_BUCKETS: Final[Mapping[str, Callable[[datetime], tuple[int, ...]]]] = MappingProxyType(
    {
        "hourly": lambda at: (at.year, at.month, at.day, at.hour),
        "daily": lambda at: (at.year, at.month, at.day),
        "weekly": lambda at: tuple(at.isocalendar())[:2],
        "monthly": lambda at: (at.year, at.month),
        "yearly": lambda at: (at.year,),
    }
)

AHEAD_NS: Final = 24 * 3600 * 1_000_000_000
"""What is no further ahead than this is not of the future: clocks differ, and some tell local time for UTC."""
FUTURE: Final = "future"
"""Why a snapshot stays that is further ahead."""


class Group(NamedTuple):
    """The snapshots of one host and the same paths, newest first: what stays and by which rules, and the rest."""

    hostname: str
    paths: tuple[bytes, ...]
    kept: list[tuple[Snapshot, tuple[str, ...]]]
    removed: list[Snapshot]

    @property
    def emptied(self) -> bool:
        """Whether some are removed, and none stays but those of the future, which nobody asked to keep."""
        return bool(self.removed) and all(reasons == (FUTURE,) for _, reasons in self.kept)


def admits(wanted: SnapshotFilter, snapshot: Snapshot) -> bool:
    """Whether a filter lets a snapshot through."""
    return (
        (not wanted.hosts or snapshot.hostname in wanted.hosts)
        and (not wanted.tags or _has_tags(wanted.tags, snapshot))
        and set(wanted.paths) <= set(snapshot.paths)
    )


def apply(
    policy: KeepPolicy, wanted: SnapshotFilter, snapshots: Iterable[Snapshot], now_ns: int
) -> list[Group]:
    """Decide on each snapshot that the filter lets through; the others are in no group, and stay.

    Args:
        now_ns: the time, ns since 1970: what is later by more than `AHEAD_NS` stays.

    Returns:
        The groups in the order of host and paths.
    """
    groups: dict[tuple[str, tuple[bytes, ...]], list[Snapshot]] = {}
    for snapshot in snapshots:
        if admits(wanted, snapshot):
            groups.setdefault((snapshot.hostname, tuple(sorted(snapshot.paths))), []).append(snapshot)
    return [_decide(policy, *key, groups[key], now_ns) for key in sorted(groups)]


def _decide(
    policy: KeepPolicy, hostname: str, paths: tuple[bytes, ...], members: list[Snapshot], now_ns: int
) -> Group:
    members.sort(key=lambda snapshot: (snapshot.time_ns, snapshot.id), reverse=True)
    past = [each for each in members if each.time_ns <= now_ns + AHEAD_NS]
    reasons = {each.id: [FUTURE] for each in members[: len(members) - len(past)]}
    for reason, kept in _rules(policy, past):
        reasons.setdefault(kept.id, []).append(reason)
    return Group(
        hostname,
        paths,
        [(each, tuple(reasons[each.id])) for each in members if each.id in reasons],
        [each for each in members if each.id not in reasons],
    )


def _rules(policy: KeepPolicy, members: Sequence[Snapshot]) -> Iterable[tuple[str, Snapshot]]:
    last = len(members) if policy.last < 0 else policy.last
    yield from (("last", each) for each in members[:last])
    for name, bucket in _BUCKETS.items():
        yield from _newest_of_each(name, getattr(policy, name), bucket, members)
    if members and policy.within != NO_POLICY.within:
        since = _back(_time(members[0]), *policy.within)
        yield from (("within", each) for each in members if _time(each) >= since)
    yield from (("tag", each) for each in members if _has_tags(policy.tags, each))


def _newest_of_each(
    name: str, count: int, bucket: Callable[[datetime], tuple[int, ...]], members: Sequence[Snapshot]
) -> Iterable[tuple[str, Snapshot]]:
    before: tuple[int, ...] | None = None
    for snapshot in members:
        if count == 0:
            return
        this = bucket(_time(snapshot))
        if this != before:
            yield name, snapshot
        elif snapshot is members[-1]:
            yield f"oldest {name}", snapshot
        else:
            continue
        before = this
        count -= 1


def _has_tags(groups: Iterable[Iterable[str]], snapshot: Snapshot) -> bool:
    return any(set(together) <= set(snapshot.tags) for together in groups)


def _time(snapshot: Snapshot) -> datetime:
    # A clock that is centuries off must not end the job; such snapshots are only taken for the last there can be.
    seconds = min(snapshot.time_ns // 1_000_000_000, _LATEST_S)
    return datetime.fromtimestamp(seconds, UTC)


def _back(at: datetime, years: int, months: int, days: int, hours: int) -> datetime:
    """So much earlier; the 31st of a month that has none is its last day."""
    month = at.year * 12 + at.month - 1 - 12 * years - months
    if month < 12 * _EARLIEST.year:
        return _EARLIEST
    year, zero_based = divmod(month, 12)
    day = min(at.day, calendar.monthrange(year, zero_based + 1)[1])
    try:
        return at.replace(year=year, month=zero_based + 1, day=day) - timedelta(days=days, hours=hours)
    except OverflowError:
        return _EARLIEST


_EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC)
_LATEST_S: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
