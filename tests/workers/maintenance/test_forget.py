"""Forgetting on a real repository: what goes, what stays, and that nothing goes unless all is clear."""

import secrets
import time

import msgspec
import pytest

from config.schedules import Retention
from crypto.job import ForgetSpec, KeepPolicy, SnapshotFilter
from crypto.ticket import DECRYPT, ENCRYPT, FORGET
from repository import layout
from repository.catalog import write_snapshot
from repository.forgets import forgets
from repository.prunes import write_void
from repository.stores import open_pruner
from scheduler.retention import forget_spec
from tests.repository.conftest import Repo
from tests.s3_server import LOCKED, S3Server
from tests.workers.maintenance.upkeep import Upkeep
from workers import reporting
from workers.maintenance.forget import NEWER, forget

FILES = {b"/a": b"a" * 20_000}


def spec(upkeep: Upkeep, *ids: str, **changes: object) -> ForgetSpec:
    return ForgetSpec(upkeep.repo.folder.as_uri(), upkeep.requester, ids, **changes)  # type: ignore[arg-type]


def numbers(repo: Repo) -> list[int]:
    return [int(name.rpartition("/")[2], 16) for name in repo.stored(layout.SNAPSHOTS)]


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.fixture
def four(repo: Repo) -> Repo:
    for number in range(1, 5):
        repo.backup(FILES, number)
    return repo


def test_what_the_policy_does_not_keep_goes_and_nothing_else(upkeep: Upkeep, four: Repo):
    others = [name for name in four.stored("") if not name.startswith(layout.SNAPSHOTS)]
    told = upkeep.run(forget, spec(upkeep, keep=KeepPolicy(last=2)))
    assert (told["kind"], told["removed"], told["kept"], told["errors"]) == ("done", 2, 2, 0)
    assert numbers(four) == [3, 4]
    assert [name for name in four.stored("") if not name.startswith(layout.SNAPSHOTS)] == others
    assert [(int(line["id"], 16), line.get("reasons")) for line in told["snapshots"]] == [
        (2, None),
        (1, None),
        (4, ["last"]),
        (3, ["last"]),
    ]


def test_what_is_newer_than_the_forget_stays_and_counts_for_no_rule(upkeep: Upkeep, four: Repo):
    newer = msgspec.structs.replace(
        four.backup(FILES, 5), id=bytes(15) + b"n", time_ns=time.time_ns() + 10**9 * 60
    )
    write_snapshot(four.store, four.vault, four.keys, 1, newer)
    wanted = SnapshotFilter(hosts=("host",))
    told = upkeep.run(forget, spec(upkeep, keep=KeepPolicy(last=1), filter=wanted))
    assert numbers(four) == [5, ord("n")]
    assert (told["removed"], told["kept"]) == (4, 2)
    reasons = {line["id"]: line["reasons"] for line in told["snapshots"] if not line["removed"]}
    assert reasons == {newer.id.hex(): [NEWER], f"{5:032x}": ["last"]}


def test_a_dry_run_removes_nothing(upkeep: Upkeep, four: Repo):
    told = upkeep.run(forget, spec(upkeep, keep=KeepPolicy(last=1), dry_run=True))
    assert (told["removed"], told["dry_run"]) == (3, True)
    assert numbers(four) == [1, 2, 3, 4]


def test_by_id_and_by_the_beginning_of_one(upkeep: Upkeep, four: Repo):
    assert upkeep.run(forget, spec(upkeep, f"{2:032x}"))["removed"] == 1
    assert numbers(four) == [1, 3, 4]


@pytest.mark.parametrize("wanted", [f"{9:032x}", "0000", "000", ""])
def test_unless_every_name_is_clear_nothing_goes(upkeep: Upkeep, four: Repo, wanted: str):
    told = upkeep.run(forget, spec(upkeep, f"{2:032x}", wanted))
    assert (told["kind"], told["code"]) == ("failed", "no-such-snapshot")
    assert len(numbers(four)) == 4


def test_a_second_attempt_does_what_is_left_of_the_first(upkeep: Upkeep, four: Repo):
    four.store.delete(layout.snapshot_name((2).to_bytes(16, "big")))
    wanted = spec(upkeep, f"{2:032x}", f"{3:032x}")
    assert upkeep.run(forget, wanted)["kind"] == "failed"
    assert upkeep.run(forget, wanted, fence=2)["removed"] == 1
    assert numbers(four) == [1, 4]


def test_a_policy_that_leaves_nothing_is_refused_unless_it_is_meant(upkeep: Upkeep, four: Repo):
    empty = spec(upkeep, keep=KeepPolicy(tags=(("none",),)))
    told = upkeep.run(forget, empty)
    assert told["code"] == "nothing-left"
    assert len(numbers(four)) == 4
    meant = spec(upkeep, keep=KeepPolicy(), filter=SnapshotFilter(hosts=("host",)), remove_all=True)
    assert upkeep.run(forget, meant)["removed"] == 4
    assert numbers(four) == []


def test_a_snapshot_of_a_clock_that_was_ahead_stays_and_empties_no_group(upkeep: Upkeep, four: Repo):
    ahead = time.time_ns() + 3650 * 24 * 3600 * 1_000_000_000
    four.commit([], ahead)
    told = upkeep.run(forget, spec(upkeep, keep=KeepPolicy(within=(0, 0, 30, 0)), dry_run=True))
    assert told["removed"] == 0
    reasons = {int(line["id"], 16): line["reasons"] for line in told["snapshots"]}
    assert reasons == {ahead: ["future"]} | {key: ["within"] for key in range(1, 5)}
    assert upkeep.run(forget, spec(upkeep, keep=KeepPolicy(tags=(("none",),))))["code"] == "nothing-left"
    assert upkeep.run(forget, spec(upkeep, keep=KeepPolicy(last=1)))["removed"] == 3
    assert numbers(four) == [4, ahead]


def test_what_a_retention_asks_for_goes_and_a_policy_that_leaves_nothing_is_refused(
    upkeep: Upkeep, four: Repo
):
    table = Retention("keep", "v", "0 5 * * *", keep_last=3)
    uri = four.folder.as_uri()
    assert upkeep.run(forget, forget_spec(table, uri, upkeep.requester))["removed"] == 1
    assert numbers(four) == [2, 3, 4]
    for elsewhere in ({"hosts": ("none",)}, {"paths": ("/none",)}, {"tags": ("none",)}):
        narrow = msgspec.structs.replace(table, keep_last=1, **elsewhere)
        assert upkeep.run(forget, forget_spec(narrow, uri, upkeep.requester))["removed"] == 0
    empty = msgspec.structs.replace(table, keep_last=0, keep_tags=("none",))
    told = upkeep.run(forget, forget_spec(empty, uri, upkeep.requester))
    assert (told["kind"], told["code"]) == ("failed", "nothing-left")
    assert numbers(four) == [2, 3, 4]


def test_one_that_cannot_be_opened_goes_by_its_id_only(upkeep: Upkeep, four: Repo):
    four.damage(layout.snapshot_name((1).to_bytes(16, "big")), flip)
    told = upkeep.run(forget, spec(upkeep, keep=KeepPolicy(last=1)))
    assert (told["removed"], told["errors"], told["unreadable"][0]["id"]) == (2, 1, f"{1:032x}")
    assert numbers(four) == [1, 4]
    assert upkeep.run(forget, spec(upkeep, f"{1:032x}"))["errors"] == 0
    assert numbers(four) == [4]


def test_without_the_ticket_for_it_nothing_goes(upkeep: Upkeep, four: Repo):
    told = upkeep.run(forget, spec(upkeep, keep=KeepPolicy(last=1)), operations=(DECRYPT,))
    assert told["code"] == "out-of-scope"
    assert len(numbers(four)) == 4


def test_another_vaults_repository_is_left_alone(upkeep: Upkeep, four: Repo):
    four.damage(layout.CONFIG, flip)
    assert upkeep.run(forget, spec(upkeep, keep=KeepPolicy(last=1)))["kind"] == "failed"
    assert len(numbers(four)) == 4


def test_a_worker_that_stood_still_removes_nothing_more(
    upkeep: Upkeep, four: Repo, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reporting, "STOPPED_S", 0.0)
    monkeypatch.setattr(reporting, "ALIVE_EVERY_S", time.monotonic())
    told = upkeep.run(forget, spec(upkeep, keep=KeepPolicy(last=1)))
    assert told["code"] == "stopped"
    assert len(numbers(four)) == 4


def test_a_void_is_no_snapshot_to_forget(upkeep: Upkeep, four: Repo):
    write_void(four.store, four.vault, four.keys, 1, b"v" * 16, 5)
    assert upkeep.run(forget, spec(upkeep, (b"v" * 16).hex()))["code"] == "no-such-snapshot"
    assert upkeep.run(forget, spec(upkeep, keep=KeepPolicy(last=4)))["kept"] == 4
    assert layout.snapshot_name(b"v" * 16) in four.stored(layout.SNAPSHOTS)


def test_in_a_bucket_nothing_is_removed_before_it_is_recorded(
    upkeep: Upkeep, four: Repo, s3: S3Server, monkeypatch: pytest.MonkeyPatch
):
    uri = s3.uri(f"forget/{secrets.token_hex(8)}", LOCKED)
    bucket = open_pruner(uri)
    for name in four.stored(""):
        bucket.put(name, [(four.folder / name).read_bytes()])
    four.store = bucket  # type: ignore[assignment]
    wanted = ForgetSpec(uri, upkeep.requester, (), keep=KeepPolicy(last=1))
    # Without the key to seal there is no record.
    assert upkeep.run(forget, wanted, operations=(DECRYPT, FORGET))["code"] == "out-of-scope"
    assert numbers(four) == [1, 2, 3, 4]
    monkeypatch.setattr("workers.maintenance.forget.AT_ONCE", 2)
    assert upkeep.run(forget, wanted, operations=(DECRYPT, ENCRYPT, FORGET))["removed"] == 3
    records = list(forgets(*four.subject, lambda *_: None))
    recorded = [int(name.rpartition("/")[2], 16) for record in records for name in record.snapshots]
    assert (len(records), sorted(recorded)) == (2, [1, 2, 3])
    assert numbers(four) == [4]
