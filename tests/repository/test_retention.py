"""The policy, rule by rule, and that doing it again changes nothing."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.job import ANY, KeepPolicy, SnapshotFilter
from repository.manifest import Snapshot
from repository.retention import AHEAD_NS, FUTURE, Group
from repository.retention import apply as apply_at

BEGIN = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
NOW_NS = int(BEGIN.timestamp()) * 1_000_000_000
HOURS = st.integers(-24 * 60, 24 * 500)


def snapshot(at: datetime, number: int = 0, host: str = "web1", tags: tuple[str, ...] = ()) -> Snapshot:
    time_ns = int(at.timestamp()) * 1_000_000_000
    return Snapshot(number.to_bytes(16, "big"), time_ns, host, [b"/srv"], [], [*tags], b"", [], 0, 0, 0, [])


def every(step: timedelta, count: int) -> list[Snapshot]:
    """Newest first, by number."""
    return [snapshot(BEGIN - number * step, number) for number in range(count)]


def apply(
    policy: KeepPolicy, wanted: SnapshotFilter, snapshots: list[Snapshot], now_ns: int = NOW_NS
) -> list[Group]:
    return apply_at(policy, wanted, snapshots, now_ns)


def only(groups: list[Group]) -> Group:
    (group,) = groups
    return group


def kept(policy: KeepPolicy, snapshots: list[Snapshot]) -> dict[int, tuple[str, ...]]:
    return {int.from_bytes(each.id): reasons for each, reasons in only(apply(policy, ANY, snapshots)).kept}


def test_the_newest_are_kept():
    assert kept(KeepPolicy(last=2), every(timedelta(hours=1), 5)) == {0: ("last",), 1: ("last",)}
    assert len(kept(KeepPolicy(last=-1), every(timedelta(hours=1), 5))) == 5


def test_the_newest_of_each_day_is_kept_and_days_without_one_do_not_count():
    times = [BEGIN, BEGIN - timedelta(hours=1), BEGIN - timedelta(days=3), BEGIN - timedelta(days=9)]
    snapshots = [snapshot(at, number) for number, at in enumerate(times)]
    assert kept(KeepPolicy(daily=2), snapshots) == {0: ("daily",), 2: ("daily",)}


def test_as_long_as_fewer_are_there_the_oldest_stays_as_well():
    snapshots = every(timedelta(hours=1), 5)
    assert kept(KeepPolicy(daily=3), snapshots) == {0: ("daily",), 4: ("oldest daily",)}
    assert kept(KeepPolicy(daily=1), snapshots) == {0: ("daily",)}


@pytest.mark.parametrize(
    ("rule", "step", "expected"),
    [
        ("hourly", timedelta(minutes=30), [0, 1, 3]),
        ("weekly", timedelta(days=1), [0, 2, 9]),
        ("monthly", timedelta(days=10), [0, 4, 6]),
        ("yearly", timedelta(days=100), [0, 1, 5]),
    ],
)
def test_each_rule_has_its_own_span(rule: str, step: timedelta, expected: list[int]):
    assert list(kept(msgspec.structs.replace(KeepPolicy(), **{rule: 3}), every(step, 30))) == expected


@pytest.mark.parametrize(
    ("within", "oldest"),
    [
        ((0, 0, 1, 0), BEGIN - timedelta(days=1)),
        ((0, 0, 0, 36), BEGIN - timedelta(hours=36)),
        ((0, 1, 0, 0), datetime(2026, 2, 28, 12, 0, tzinfo=UTC)),
        ((1, 0, 0, 0), datetime(2025, 3, 31, 12, 0, tzinfo=UTC)),
        ((99_999, 0, 99_999, 0), datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_within_counts_from_the_newest(within: tuple[int, int, int, int], oldest: datetime):
    times = [BEGIN, oldest, oldest - timedelta(seconds=1)][: 2 if oldest.year == 1970 else 3]
    snapshots = [snapshot(at, number) for number, at in enumerate(times)]
    assert kept(KeepPolicy(within=within), snapshots) == {0: ("within",), 1: ("within",)}


def test_tags_keep():
    snapshots = [snapshot(BEGIN, 0, tags=("a",)), snapshot(BEGIN, 1, tags=("a", "b")), snapshot(BEGIN, 2)]
    assert kept(KeepPolicy(tags=(("a", "b"), ("c",))), snapshots) == {1: ("tag",)}


def test_hosts_and_paths_are_groups_of_their_own_and_the_filter_leaves_the_rest_alone():
    here = [snapshot(BEGIN - timedelta(hours=number), number) for number in range(3)]
    there = [snapshot(BEGIN - timedelta(days=number), 10 + number, host="web2") for number in range(3)]
    first, second = apply(KeepPolicy(last=1), ANY, here + there)
    assert (first.hostname, second.hostname) == ("web1", "web2")
    assert [len(first.kept), len(first.removed), len(second.removed)] == [1, 2, 2]
    assert only(apply(KeepPolicy(last=1), SnapshotFilter(hosts=("web2",)), here + there)).hostname == "web2"


def test_a_clock_that_was_centuries_off_ends_nothing():
    far = snapshot(BEGIN, 1).time_ns * 1000
    strange = Snapshot(b"s" * 16, far, "web1", [b"/srv"], [], [], b"", [], 0, 0, 0, [])
    snapshots = [strange, snapshot(BEGIN, 1)]
    policy = KeepPolicy(daily=1, within=(0, 0, 1, 0))
    assert len(only(apply(policy, ANY, snapshots)).kept) == 2
    # By a clock that is as far off it is no future.
    group = only(apply(policy, ANY, snapshots, far))
    assert [each.id for each, _ in group.kept] == [strange.id]


@pytest.mark.parametrize(
    "policy",
    [
        KeepPolicy(within=(0, 0, 30, 0)),
        *(
            msgspec.structs.replace(KeepPolicy(), **{name: 3})
            for name in ("last", "hourly", "daily", "weekly", "monthly", "yearly")
        ),
        KeepPolicy(tags=(("a",),)),
    ],
)
def test_one_of_the_future_stays_and_changes_nothing_for_the_others(policy: KeepPolicy):
    snapshots = [
        snapshot(BEGIN - timedelta(days=20 * number), number, tags=("a",) * (number % 2))
        for number in range(20)
    ]
    ahead = [snapshot(BEGIN + timedelta(days=number), number, tags=("a",)) for number in (100, 3650)]
    expected = kept(policy, snapshots)
    assert 0 < len(expected) < len(snapshots)
    assert kept(policy, ahead + snapshots) == expected | {100: (FUTURE,), 3650: (FUTURE,)}


def test_a_clock_that_is_hours_ahead_makes_no_future():
    last = NOW_NS + AHEAD_NS
    near = msgspec.structs.replace(snapshot(BEGIN, 1), time_ns=last)
    beyond = msgspec.structs.replace(snapshot(BEGIN, 2), time_ns=last + 1)
    snapshots = [snapshot(BEGIN, 0), near, beyond]
    assert kept(KeepPolicy(last=1), snapshots) == {1: ("last",), 2: (FUTURE,)}


def test_a_group_of_which_only_the_future_stays_is_emptied():
    ahead, now = snapshot(BEGIN + timedelta(days=100), 1), snapshot(BEGIN, 2)
    none = KeepPolicy(tags=(("none",),))
    assert only(apply(none, ANY, [now])).emptied
    assert only(apply(none, ANY, [ahead, now])).emptied
    assert not only(apply(none, ANY, [ahead])).emptied, "nothing goes"
    assert not only(apply(KeepPolicy(last=1, within=(0, 0, 1, 0)), ANY, [ahead, now])).emptied


POLICIES = st.builds(
    KeepPolicy,
    **{name: st.integers(0, 4) for name in ("last", "hourly", "daily", "weekly", "monthly", "yearly")},
    within=st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 9), st.integers(0, 30)),
)


@given(POLICIES, st.lists(HOURS, min_size=1, max_size=40), st.data())
def test_after_only_some_were_removed_the_same_are_kept(
    policy: KeepPolicy, hours: list[int], data: st.DataObject
):
    snapshots = [snapshot(BEGIN - timedelta(hours=at), number) for number, at in enumerate(hours)]
    group = only(apply(policy, ANY, snapshots))
    survivors = (
        data.draw(st.lists(st.sampled_from(group.removed), unique_by=lambda each: each.id))
        if (group.removed)
        else []
    )
    stays = [each for each, _ in group.kept]
    assert len(stays) + len(group.removed) == len(snapshots)
    again = apply(policy, ANY, stays + survivors)
    assert [each for found in again for each, _ in found.kept] == stays
