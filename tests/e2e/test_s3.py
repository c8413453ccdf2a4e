"""A vault in a bucket on a real S3 server, over the whole stack; with parcels in the home and in another bucket."""

import json
import random
import secrets
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from client.installation import Installation
from config.home import Home
from repository.hidden import VOID
from repository.stores import open_reader
from tests.s3_server import BUCKET, DELIVERIES, LOCKED, S3Server, next_second
from tests.whole.room import Strongroom, make_tree, read_tree, wait_for

BIG = 70 << 20
"""More than a pack: uploads in parts, reads in pieces."""


class Vault(NamedTuple):
    room: Strongroom
    source: Path
    content: dict[str, bytes]
    repo: str
    area: str
    first: dict[str, Any]
    again: dict[str, Any]


@pytest.fixture(scope="module")
def vault(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    folder = tmp_path_factory.mktemp("cloud")
    room = Strongroom(folder / "home")
    repo = s3.uri(f"e2e/{secrets.token_hex(8)}")
    area = s3.uri(f"parcels/{secrets.token_hex(4)}", DELIVERIES, profile="deliveries")
    source = folder / "source"
    content = make_tree(source)
    content["big"] = random.Random(7).randbytes(BIG)
    (source / "big").write_bytes(content["big"])
    room.run("init")
    (room.home / "config.toml").write_text(f'[delivery]\nareas = ["{area}"]\n')
    try:
        room.run("up")
        room.run("vault", "create", "v", "--repo", repo, "--kms", "local-kms://main")
        first = room.json("backup", "v", source)
        time.sleep(0.05)  # a stamp taken within the clock's tick of a change is never trusted
        again = room.json("backup", "v", source)
        yield Vault(room, source, content, repo, area, first, again)
    finally:
        room.run("down", code=None)
    assert not room.processes()


def restored(vault: Vault, *options: str, code: int = 0) -> tuple[dict[str, bytes], dict[str, Any]]:
    target = vault.source.parent / "target"
    shutil.rmtree(target, ignore_errors=True)
    done = vault.room.json("restore", "v", f"latest:{vault.source}", "--target", target, *options, code=code)
    return read_tree(target), done


def keys(s3: S3Server, bucket: str, prefix: str) -> list[str]:
    pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


def prefix_of(uri: str) -> str:
    return uri.partition("?")[0].split("/", 3)[3] + "/"


def test_a_backup_and_an_unchanged_one(vault: Vault):
    assert vault.first["files"] == len(vault.content)
    assert vault.first["errors"] == 0
    assert vault.first["bytes_stored"] > BIG
    assert vault.again["files"] == len(vault.content)
    assert vault.again["bytes_read"] == 0
    assert vault.again["chunks_new"] == 0


def test_a_restore_with_parcels_in_the_home(vault: Vault):
    found, done = restored(vault)
    assert found == vault.content
    assert done["failed"] == []


def test_a_restore_with_parcels_in_another_bucket(vault: Vault, s3: S3Server):
    found, done = restored(vault, "--delivery", vault.area)
    assert found == vault.content
    assert done["failed"] == []
    assert keys(s3, DELIVERIES, prefix_of(vault.area)) == [], "parcels are deleted after use"
    assert list((vault.room.home / "delivery").iterdir()) == []


def test_an_area_that_the_worker_does_not_know_is_refused(vault: Vault, s3: S3Server):
    other = s3.uri("parcels/foreign", DELIVERIES, profile="deliveries")
    target = vault.source.parent / "foreign"
    done = vault.room.run("restore", "v", "latest", "--target", target, "--delivery", other, "--json", code=1)
    assert "not this installation's" in json.loads(done.stdout.splitlines()[-1])["error"]
    assert keys(s3, DELIVERIES, "parcels/foreign") == []


def test_listings_and_check(vault: Vault):
    assert len(vault.room.json("snapshots", "v")) >= 2
    checked = vault.room.json("check", "v", "--read-data")
    assert checked["errors"] == 0


def test_the_store_shows_no_name_and_every_object_has_a_name_of_the_layout(vault: Vault, s3: S3Server):
    found = keys(s3, BUCKET, prefix_of(vault.repo))
    kinds = {key.removeprefix(prefix_of(vault.repo)).split("/")[0] for key in found}
    assert {"config", "keys", "packs", "index", "manifests", "snapshots"} <= kinds
    assert kinds <= {"config", "keys", "packs", "index", "manifests", "snapshots", "jobs"}
    client = s3.client()
    for key in found:
        body = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert b"file-0001" not in body
        assert str(vault.source).encode() not in body


def test_another_home_attaches_it(vault: Vault, tmp_path: Path):
    other = Strongroom(tmp_path / "home")
    shutil.copytree(vault.room.home / "kms", tmp_path / "kms")
    other.run("init")
    shutil.rmtree(other.home / "kms")
    shutil.move(tmp_path / "kms", other.home / "kms")
    other.run("vault", "attach", "w", "--repo", vault.repo, "--kms", "local-kms://main")
    target = tmp_path / "target"
    other.run("restore", "w", f"latest:{vault.source}/dir1", "--target", target)
    assert read_tree(target) == {
        name.removeprefix("dir1/"): data for name, data in vault.content.items() if name.startswith("dir1/")
    }


def test_a_second_vault_there_is_refused(vault: Vault):
    done = vault.room.run("vault", "create", "x", "--repo", vault.repo, "--kms", "local-kms://main", code=1)
    assert "there are objects" in done.stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("&profile=admin", "&profile=mistyped"), "SignatureDoesNotMatch"),
        (("&profile=admin", "&profile=nobody"), "profile"),
        (("s3://plain-bucket", "s3://no-such-bucket"), "NoSuchBucket"),
        (("&profile=admin", "&profile=admin&lock=governance&retention=1d"), "ObjectLock"),
        (("&profile=admin", "&profile=reader"), "AccessDenied"),
    ],
)
def test_what_cannot_work_is_told(vault: Vault, change: tuple[str, str], says: str):
    repo = vault.repo.replace("e2e/", "other/").replace(*change)
    done = vault.room.run("vault", "create", "x", "--repo", repo, "--kms", "local-kms://main", code=1)
    assert says in done.stderr
    assert "  -> " in done.stderr
    assert "secret-of" not in done.stderr + vault.room.logs()
    assert [each["name"] for each in vault.room.json("vault", "list")] == ["v"]


def test_a_vault_with_locks_is_backed_up_tidied_and_restored(vault: Vault, s3: S3Server, tmp_path: Path):
    repo = s3.uri(f"e2e/{secrets.token_hex(8)}", LOCKED, lock="governance", retention="1h")
    vault.room.run("vault", "create", "locked", "--repo", repo, "--kms", "local-kms://main")
    source = tmp_path / "source"
    content = make_tree(source, files=10)
    vault.room.run("backup", "locked", source)
    vault.room.run("restore", "locked", f"latest:{source}", "--target", tmp_path / "target")
    assert read_tree(tmp_path / "target") == content
    client = s3.client()
    for name in open_reader(repo).list(""):
        found = client.head_object(Bucket=LOCKED, Key=prefix_of(repo) + name)
        assert ("ObjectLockMode" in found) == (not name.startswith("jobs/")), name


def test_locks_of_what_snapshots_need_are_extended(vault: Vault, s3: S3Server, tmp_path: Path):
    repo = s3.uri(f"e2e/{secrets.token_hex(8)}", LOCKED, lock="governance", retention="2h")
    vault.room.run("vault", "create", "extended", "--repo", repo, "--kms", "local-kms://main")
    make_tree(tmp_path / "source", files=10)
    vault.room.run("backup", "extended", tmp_path / "source")

    def looked_at() -> bool:
        """The scheduler's own look at a new vault is over; the next one comes after a quarter of the retention."""
        return ("extended", "extend", "done") in {
            (each["vault"], each["kind"], each["state"]) for each in vault.room.json("jobs")
        }

    wait_for(looked_at, 60)
    client, reader = s3.client(), open_reader(repo)
    client.put_object(Bucket=LOCKED, Key=prefix_of(repo) + "packs/ff/" + "f" * 32, Body=b"of a dead backup")
    names = [name for name in reader.list("") if not name.startswith("jobs/")]
    soon = datetime.now(UTC) + timedelta(minutes=30)
    for name in names:
        client.put_object_retention(
            Bucket=LOCKED,
            Key=prefix_of(repo) + name,
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": soon},
            BypassGovernanceRetention=True,
        )

    def locked_for_longer() -> set[str]:
        until = {
            name: client.head_object(Bucket=LOCKED, Key=prefix_of(repo) + name)["ObjectLockRetainUntilDate"]
            for name in names
        }
        return {name for name in names if until[name] > soon + timedelta(minutes=1)}

    assert not locked_for_longer()
    done = vault.room.json("lock", "extend", "extended")
    assert locked_for_longer() == set(names) - {"packs/ff/" + "f" * 32}
    assert (done["extended"], done["left"], done["missing"], done["unreadable"]) == (len(names) - 1, 0, 0, 0)
    again = vault.room.json("lock", "extend", "extended")
    assert (again["extended"], again["left"]) == (0, len(names) - 1)
    assert "have no locks" in vault.room.run("lock", "extend", "v", code=2).stderr


def test_what_delete_markers_hide_is_said(vault: Vault, s3: S3Server, tmp_path: Path):
    """Whoever may remove objects hides them one after the other; the keys that open them lie in the workers' caches."""
    repo = s3.uri(f"e2e/{secrets.token_hex(8)}", LOCKED, lock="governance", retention="2h")
    vault.room.run("vault", "create", "hidden", "--repo", repo, "--kms", "local-kms://main")
    source = tmp_path / "source"
    make_tree(source, files=5)
    first = vault.room.json("backup", "hidden", source)["snapshot"]
    next_second()
    make_tree(source, files=6, seed=2)
    second = vault.room.json("backup", "hidden", source)["snapshot"]
    good = vault.room.json("lock", "extend", "hidden")
    assert (good["verdict"], good["hidden"], good["message"][:12]) == ("extended", 0, "all is well:")

    def hide(name: str) -> None:
        assert name in keys(s3, LOCKED, prefix_of(repo) + name)[0]
        s3.client().delete_object(Bucket=LOCKED, Key=prefix_of(repo) + name)

    hide(f"snapshots/{first}")
    older = vault.room.json("check", "hidden")
    assert (older["verdict"], older["hidden"], older["hidden_snapshots"]) == ("good", 1, [first])
    said = vault.room.run("check", "hidden")
    assert first[:12] in said.stderr
    assert "hidden" in said.stderr
    hide("keys/dek-00000001")
    hide(f"snapshots/{second}")
    newest = vault.room.json("check", "hidden", code=3)
    # None is left that would be newer than the first.
    named = {f"snapshots/{first}", f"snapshots/{second}", "keys/dek-00000001"}
    assert {each["object"] for each in newest["problems"]} == named
    assert sorted(newest["hidden_snapshots"]) == sorted([first, second])
    hide("config")
    extended = vault.room.json("lock", "extend", "hidden", code=3)
    assert extended["verdict"] == "incomplete"
    # Not only what is left to be needed: nobody knows any more what is.
    assert extended["left"] + extended["extended"] == good["left"] + good["extended"] - 4
    assert (extended["hidden"], extended["hidden_newest"]) == (2, 2)
    assert extended["missing_objects"] == ["config", "keys/dek-00000001"]
    told = vault.room.run("lock", "extend", "hidden", code=3)
    assert "keys/dek-00000001: it is missing" in told.stderr
    assert told.stdout.splitlines()[-1].startswith("INCOMPLETE: ")


def test_what_was_forgotten_is_no_alarm(vault: Vault, s3: S3Server, tmp_path: Path):
    """The newest snapshot, by its id; and what the record of it says holds up no backup and no prune."""
    repo = s3.uri(f"e2e/{secrets.token_hex(8)}", LOCKED, lock="governance", retention="2h")
    vault.room.run("vault", "create", "forgotten", "--repo", repo, "--kms", "local-kms://main")
    source = tmp_path / "source"
    make_tree(source, files=5)
    first = vault.room.json("backup", "forgotten", source)["snapshot"]
    time.sleep(1.1)
    make_tree(source, files=6, seed=2)
    second = vault.room.json("backup", "forgotten", source)["snapshot"]
    vault.room.run("forget", "forgotten", second)
    checked = vault.room.json("check", "forgotten")
    assert (checked["verdict"], checked["hidden"], checked["hidden_snapshots"]) == ("good", 0, [])
    assert (checked["forgotten"], checked["forgotten_snapshots"]) == (1, [second])
    extended = vault.room.json("lock", "extend", "forgotten")
    assert (extended["verdict"], extended["hidden"], extended["forgotten"]) == ("extended", 0, 1)
    assert vault.room.json("prune", "forgotten")["packs"] > 0
    third = vault.room.json("backup", "forgotten", source)["snapshot"]
    (record,) = (key for key in keys(s3, LOCKED, prefix_of(repo)) if key.endswith("/forgotten"))
    s3.client().delete_object(Bucket=LOCKED, Key=record)
    told = vault.room.json("check", "forgotten")
    assert (told["hidden_snapshots"], told["forgotten"]) == ([second], 0)
    s3.client().delete_object(Bucket=LOCKED, Key=f"{prefix_of(repo)}snapshots/{third}")
    assert vault.room.json("check", "forgotten", code=3)["verdict"] == "damaged"
    assert [each["id"] for each in vault.room.json("snapshots", "forgotten")] == [first]


def bring_back(s3: S3Server, prefix: str, snapshot: str) -> list[str]:
    """The recipe of docs/s3.md, Bringing back what was removed; returns the names of the sweeps."""
    client = s3.client()

    def versions(below: str, kind: str) -> list[dict[str, Any]]:
        pages = client.get_paginator("list_object_versions").paginate(Bucket=LOCKED, Prefix=prefix + below)
        return [each for page in pages for each in page.get(kind, ())]

    def unhide(below: str) -> None:
        for marker in versions(below, "DeleteMarkers"):
            client.delete_object(Bucket=LOCKED, Key=marker["Key"], VersionId=marker["VersionId"])

    for below in ("packs/", "index/", "manifests/", "keys/"):
        unhide(below)
    for void in versions(f"snapshots/{snapshot}", "Versions"):
        if void["Size"] <= VOID:
            client.delete_object(
                Bucket=LOCKED, Key=void["Key"], VersionId=void["VersionId"], BypassGovernanceRetention=True
            )
    sweeps = [key for key in keys(s3, LOCKED, prefix + "prunes/") if key.endswith("/sweep")]
    for sweep in sweeps:
        client.delete_object(Bucket=LOCKED, Key=sweep)
    unhide(f"snapshots/{snapshot}")
    return [each.removeprefix(prefix) for each in sweeps]


def test_what_was_forgotten_and_pruned_is_brought_back(vault: Vault, s3: S3Server, tmp_path: Path):
    repo = s3.uri(f"e2e/{secrets.token_hex(8)}", LOCKED, lock="governance", retention="2h")
    room, prefix, source, target = vault.room, prefix_of(repo), tmp_path / "source", tmp_path / "target"
    room.run("vault", "create", "back", "--repo", repo, "--kms", "local-kms://main")
    content = make_tree(source, files=5)
    gone = room.json("backup", "back", source)["snapshot"]
    time.sleep(1.1)
    make_tree(source, files=6, seed=2)
    room.run("backup", "back", source)
    room.run("forget", "back", gone)
    assert room.json("prune", "back")["packs"] > 0
    told = room.run("restore", "back", f"{gone}:{source}", "--target", target, code=1).stderr
    assert f"no snapshot of this vault has an id that begins with {gone}: it was forgotten" in told
    (sweep,) = bring_back(s3, prefix, gone)
    checked = room.json("check", "back", "--read-data")
    assert (checked["verdict"], checked["snapshots"], checked["hidden"], checked["forgotten"]) == (
        "good",
        2,
        0,
        0,
    )
    room.run("restore", "back", f"{gone}:{source}", "--target", target)
    assert read_tree(target) == content
    # With its sweep, nothing of it is used, and a check says so.
    (marker,) = s3.client().list_object_versions(Bucket=LOCKED, Prefix=prefix + sweep)["DeleteMarkers"]
    s3.client().delete_object(Bucket=LOCKED, Key=prefix + sweep, VersionId=marker["VersionId"])
    checked = room.json("check", "back", code=3)
    assert {each["snapshot"] for each in checked["losses"]} == {gone}
    assert all(f"{sweep} names it" in each["error"] for each in checked["problems"])
    assert "remove the sweeps that are named" in checked["message"]
    done = room.json("restore", "back", f"{gone}:{source}", "--target", tmp_path / "again", code=1)
    assert done["failed"]


def test_damage_is_named_and_the_rest_is_restored(vault: Vault, s3: S3Server):
    """Last of all: it spoils the vault."""
    client = s3.client()
    packs = [key for key in keys(s3, BUCKET, prefix_of(vault.repo)) if "/packs/" in key]
    sizes = {key: client.head_object(Bucket=BUCKET, Key=key)["ContentLength"] for key in packs}
    largest = max(packs, key=lambda key: sizes[key])
    body = bytearray(client.get_object(Bucket=BUCKET, Key=largest)["Body"].read())
    body[len(body) // 2] ^= 1
    client.put_object(Bucket=BUCKET, Key=largest, Body=bytes(body))
    found, done = restored(vault, code=3)
    named = {each["path"].removeprefix(f"{vault.source}/") for each in done["failed"]}
    assert named
    assert named | found.keys() == vault.content.keys()
    assert not named & found.keys()
    assert all(vault.content[name] == data for name, data in found.items())
    checked = vault.room.run("check", "v", "--read-data", "--json", code=None)
    assert checked.returncode != 0
    client.delete_object(Bucket=BUCKET, Key=largest)
    found, done = restored(vault, "--delivery", vault.area, code=3)
    named = {each["path"].removeprefix(f"{vault.source}/") for each in done["failed"]}
    assert named | found.keys() == vault.content.keys()
    assert all(vault.content[name] == data for name, data in found.items())
    assert keys(s3, DELIVERIES, prefix_of(vault.area)) == []


def test_the_registry_keeps_no_secret(vault: Vault):
    assert b"secret-of" not in (vault.room.home / "registry.json").read_bytes()
    assert Installation.open(Home(vault.room.home)).vault("v").repo == vault.repo
