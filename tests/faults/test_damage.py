"""Guarantee 9: whatever happens to the store, a restore delivers the original bytes or names what it could not."""

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.whole.room import Strongroom, furnished, read_tree
from tests.whole.trees import pad

FOLDERS = ("a", "b", "c")
"""Each has a pack of its own: it was backed up when it was new. Holes between them cut the manifests."""


class Vault(NamedTuple):
    """A repository whose content is known, and a pristine copy of it."""

    room: Strongroom
    folder: Path
    content: dict[str, bytes]
    packs: dict[str, str]
    """Pack, as a name in the repository, by the folder whose content it holds."""
    snapshots: list[str]

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    @property
    def source(self) -> Path:
        return self.folder / "source"

    def reset(self) -> None:
        shutil.rmtree(self.repo, ignore_errors=True)
        shutil.copytree(self.folder / "pristine", self.repo)

    def names(self, prefix: str) -> list[str]:
        return sorted(
            str(path.relative_to(self.repo)) for path in (self.repo / prefix).rglob("*") if path.is_file()
        )

    def newest(self, prefix: str, backup: int = -1) -> list[str]:
        """Objects that only the last backup wrote (or another one), the largest first."""
        job = self.snapshots[backup]
        found = [name for name in self.names(prefix) if name.rpartition("/")[2].startswith(job)]
        return sorted(found, key=lambda name: -(self.repo / name).stat().st_size)

    def files(self, *folders: str) -> set[str]:
        return {name for name in self.content if name.split("/")[0] in folders}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    folder = tmp_path_factory.mktemp("damage")
    with furnished(Strongroom(folder / "home"), folder / "repo") as room:
        room.run("up")
        yield build(room, folder)


@pytest.fixture
def vault(built: Vault) -> Vault:
    built.reset()
    return built


def build(room: Strongroom, folder: Path) -> Vault:
    source, repo = folder / "source", folder / "repo"
    source.mkdir()
    rng = random.Random(2)
    content: dict[str, bytes] = {}
    vault = Vault(room, folder, content, {}, [])
    seen: set[str] = set()
    for name in FOLDERS:
        (source / name).mkdir()
        # More than one chunk in each pack, so that a damaged one takes only some of the files with it.
        sizes = [rng.randrange(200_000, 900_000) for _ in range(6)] + [10, 0]
        for number, size in enumerate(sizes):
            path = source / name / f"file{number}"
            path.write_bytes(rng.randbytes(size))
            content[f"{name}/file{number}"] = path.read_bytes()
        pad(source / name / "zz-hole")
        content[f"{name}/zz-hole"] = (source / name / "zz-hole").read_bytes()
        vault.snapshots.append(room.json("backup", "v", source)["snapshot"])
        (vault.packs[name],) = set(vault.names("packs")) - seen
        seen.add(vault.packs[name])
    # The last snapshot knows no older one, so that its manifests end at the holes: several, and no new pack.
    last = room.json("backup", "v", *(source / name for name in FOLDERS))
    assert last["chunks_new"] == 0
    vault.snapshots.append(last["snapshot"])
    shutil.rmtree(repo / "jobs", ignore_errors=True)
    shutil.copytree(
        repo, folder / "pristine", ignore=shutil.ignore_patterns("jobs")
    )  # they are being removed
    return vault


class Delivered(NamedTuple):
    """What a restore brought, by path below the source: what is there, and what is named."""

    code: int
    there: set[str]
    named: set[str]
    result: dict[str, Any]


def deliver(vault: Vault, snapshot: str = "latest", room: Strongroom | None = None) -> Delivered:
    """Restore, and hold guarantee 9: every file is there with its bytes, or is named, and never both."""
    target = vault.folder / "target"
    shutil.rmtree(target, ignore_errors=True)
    done = (room or vault.room).run(
        "restore", "v", f"{snapshot}:{vault.source}", "--target", target, "--json", code=None
    )
    result = json.loads(done.stdout.strip().splitlines()[-1])
    found = read_tree(target) if target.exists() else {}
    for name, data in found.items():
        assert name in vault.content, f"{name} was never in the snapshot"
        assert data == vault.content[name], f"{name} has wrong bytes"
    named = named_by(vault, result.get("failed", []))
    assert not named & found.keys(), "what is delivered is not named"
    if done.returncode != 1 or result.get("failed"):
        assert named | found.keys() == vault.content.keys(), "what is not delivered is named"
    assert (done.returncode == 0) == (found.keys() == vault.content.keys()), done.stderr
    return Delivered(done.returncode, set(found), named, result)


def named_by(vault: Vault, failed: list[dict[str, str]]) -> set[str]:
    """The files that a result names: one by one, or as all that a damaged manifest held."""
    paths = {name: str(vault.source / name) for name in vault.content}
    named = set()
    for each in failed:
        through = re.match(r"everything from here to (.+), \d+ files,", each["error"])
        first, last = each["path"], through[1] if through else each["path"]
        assert through or first in paths.values(), f"{each} names nothing that was asked for"
        named |= {
            name for name, path in paths.items() if order(first) <= order(path) <= order(last)
        }  # fmt: skip
    return named


def order(path: str) -> bytes:
    return os.fsencode(path).replace(b"/", b"\0")


def flip(path: Path, fraction: float) -> None:
    """Turn one bit, a part of the way through the file."""
    flip_at(path, int(fraction * path.stat().st_size))


def flip_at(path: Path, at: int) -> None:
    """Turn one bit of a byte; a negative number counts from the end."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def cut(path: Path, keep: float) -> None:
    os.truncate(path, int(path.stat().st_size * keep))


def swap(one: Path, other: Path) -> None:
    spare = one.with_suffix(".spare")
    one.rename(spare)
    other.rename(one)
    spare.rename(other)


def put(one: Path, other: Path) -> None:
    """One object's bytes under another's name."""
    shutil.copy(one, other)


def overwrite(path: Path, data: bytes) -> None:
    path.write_bytes(data)


Damage = Callable[[Vault], None]


def pack(vault: Vault, folder: str = "b") -> Path:
    return vault.repo / vault.packs[folder]


PACKS: dict[str, tuple[Damage, set[str], bool]] = {
    # What happens, the folders that may lose files, and whether `check` sees it without reading the data.
    "a bit in a chunk": (lambda v: flip(pack(v), 0.5), {"b"}, False),
    "the first byte": (lambda v: flip_at(pack(v), 0), set(), False),
    "a bit in the table": (lambda v: flip_at(pack(v), -200), set(), False),
    "cut in half": (lambda v: cut(pack(v), 0.5), {"b"}, True),
    "empty": (lambda v: cut(pack(v), 0), {"b"}, True),
    "gone": (lambda v: pack(v).unlink(), {"b"}, True),
    "two swapped": (lambda v: swap(pack(v, "a"), pack(v, "b")), {"a", "b"}, True),
    "one copied over another": (lambda v: put(pack(v, "a"), pack(v, "b")), {"b"}, True),
    "zeros in its place": (lambda v: overwrite(pack(v), bytes(pack(v).stat().st_size)), {"b"}, False),
    "something after its end": (lambda v: overwrite(pack(v), pack(v).read_bytes() + b"x"), set(), True),
}  # fmt: skip


@pytest.mark.parametrize("what", PACKS)
def test_a_damaged_pack(vault: Vault, what: str) -> None:
    damage, lost, seen_by_check = PACKS[what]
    damage(vault)
    got = deliver(vault)
    assert got.code == (3 if lost else 0)
    assert {name.split("/")[0] for name in got.named} == lost, "files of other packs are delivered"
    for folder in lost:
        assert {f"{folder}/file7", f"{folder}/zz-hole"} <= got.there, "what has no bytes is not lost"
    if what == "a bit in a chunk":
        assert len(got.named) < 6, "only the files in that chunk are lost"
    found = vault.room.json("check", "v", code=3 if seen_by_check else 0)
    assert bool(found["problems"]) == seen_by_check
    read = vault.room.json("check", "v", "--read-data", code=3)
    touched = {
        Path(touch["first"]).relative_to(vault.source).parts[0]
        for problem in read["problems"]
        for touch in problem["touches"]
        if touch["snapshot"] == vault.snapshots[-1]
    }
    assert touched == (lost or ({"b"} if seen_by_check else set()))
    # The older snapshot without that folder is as it was.
    if lost == {"b"}:
        old = vault.folder / "old"
        vault.room.run("restore", "v", f"{vault.snapshots[0]}:{vault.source}", "--target", old)
        assert read_tree(old) == {name: vault.content[name] for name in vault.files("a")}
        shutil.rmtree(old)


def first_two(vault: Vault, prefix: str) -> tuple[Path, Path]:
    one, other = vault.newest(prefix)[:2]
    return vault.repo / one, vault.repo / other


def roll_back(vault: Vault) -> None:
    """Put the newest manifest's oldest version, of an earlier backup, in its place."""
    newest = vault.repo / vault.newest("manifests")[0]
    (older, *_) = [n for n in vault.names("manifests") if Path(n).name.startswith(vault.snapshots[0])]
    shutil.copy(vault.repo / older, newest)


MANIFESTS: dict[str, Damage] = {
    "a bit": lambda v: flip(v.repo / v.newest("manifests")[0], 0.5),
    "its label": lambda v: flip_at(v.repo / v.newest("manifests")[0], 12),
    "cut": lambda v: cut(v.repo / v.newest("manifests")[0], 0.9),
    "gone": lambda v: (v.repo / v.newest("manifests")[0]).unlink(),
    "two swapped": lambda v: swap(*first_two(v, "manifests")),
    "an older one": roll_back,
    "a snapshot in its place": lambda v: put(
        v.repo / v.newest("snapshots")[0], v.repo / v.newest("manifests")[0]
    ),
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_damaged_manifest(vault: Vault, what: str) -> None:
    MANIFESTS[what](vault)
    got = deliver(vault)
    assert got.code == 3
    assert got.named
    assert got.there, "what other manifests name is delivered"
    found = vault.room.json("check", "v", code=3)
    assert {t["snapshot"] for p in found["problems"] for t in p["touches"]} == {vault.snapshots[-1]}
    if what in ("a bit", "gone"):
        # The next backup finds what it needs and makes a snapshot that is whole.
        vault.room.run("backup", "v", *(vault.source / name for name in FOLDERS))
        assert deliver(vault).code == 0


SNAPSHOTS: dict[str, Damage] = {
    "a bit": lambda v: flip(v.repo / v.newest("snapshots")[0], 0.7),
    "cut": lambda v: cut(v.repo / v.newest("snapshots")[0], 0.5),
    "an older one under its name": lambda v: put(
        v.repo / f"snapshots/{v.snapshots[0]}", v.repo / v.newest("snapshots")[0]
    ),
    "another version": lambda v: flip_at(v.repo / v.newest("snapshots")[0], 5),
}


@pytest.mark.parametrize("what", SNAPSHOTS)
def test_a_damaged_snapshot(vault: Vault, what: str) -> None:
    SNAPSHOTS[what](vault)
    for name in ("latest", vault.snapshots[-1]):
        got = deliver(vault, name)
        assert (got.code, got.there) == (1, set())
        assert vault.snapshots[-1][:8] in got.result["error"], "which one it is"
        assert got.result["remedy"]
    assert vault.room.json("check", "v", code=3)["problems"]
    listed = vault.room.json("snapshots", "v", code=3)
    assert [line["id"] for line in listed if "error" not in line] == vault.snapshots[:-1]
    assert vault.snapshots[-1] in vault.room.run("snapshots", "v", code=3).stderr
    assert [line["id"] for line in listed if "error" in line] == [vault.snapshots[-1]]
    # The others are as they were.
    old = vault.folder / "old"
    vault.room.run("restore", "v", f"{vault.snapshots[1]}:{vault.source}", "--target", old)
    assert read_tree(old) == {name: vault.content[name] for name in vault.files("a", "b")}
    shutil.rmtree(old)


def newest_index(vault: Vault) -> Path:
    """The index of the last backup that stored something: what the folder c holds."""
    return vault.repo / vault.newest("index", 2)[0]


INDEXES: dict[str, Damage] = {
    "a bit": lambda v: flip(newest_index(v), 0.6),
    "gone": lambda v: (newest_index(v)).unlink(),
    "an older one under its name": lambda v: put(v.repo / v.newest("index", 0)[0], newest_index(v)),
}


@pytest.mark.parametrize("what", INDEXES)
def test_a_damaged_index(vault: Vault, attached: Strongroom, what: str) -> None:
    INDEXES[what](vault)
    with awake(attached):
        got = deliver(vault, room=attached)
        assert got.code == 3
        assert got.named == {f"c/file{number}" for number in range(7)}
        assert attached.json("check", "v", code=3)["problems"]
        # Packs say themselves what they hold: the next backup puts them back into the index.
        again = attached.json("backup", "v", vault.source)
        assert (again["errors"], again["bytes_stored"]) == (0, 0)
        assert deliver(vault, room=attached).code == 0


@pytest.fixture(scope="module")
def attached(built: Vault) -> Strongroom:
    """A home that shares the KMS and the repository with the other one."""
    room = Strongroom(built.folder / "elsewhere", STRONGROOM_KMS_KEYSTORE=str(built.room.home / "kms"))
    built.reset()
    room.run("init")
    room.run("vault", "attach", "v", "--repo", f"file://{built.repo}", "--kms", "local-kms://main")
    return room


@contextmanager
def awake(room: Strongroom) -> Iterator[None]:
    """Processes that have seen nothing before: whatever was damaged, none of them remembers it."""
    room.run("up")
    try:
        yield
    finally:
        room.run("down")


WHOLE: dict[str, Damage] = {
    "config is damaged": lambda v: flip_at(v.repo / "config", -3),
    "config is gone": lambda v: (v.repo / "config").unlink(),
    "the wrapped key is damaged": lambda v: flip(v.repo / "keys" / "dek-00000001", 0.5),
    "the wrapped key is gone": lambda v: (v.repo / "keys" / "dek-00000001").unlink(),
    "the wrapped keys are swapped": lambda v: swap(v.repo / "keys/dek-00000001", v.repo / "keys/chunk-id"),
    "everything is gone": lambda v: shutil.rmtree(v.repo),
}


@pytest.mark.parametrize("what", WHOLE)
def test_a_vault_that_cannot_be_opened(vault: Vault, attached: Strongroom, what: str) -> None:
    WHOLE[what](vault)
    with awake(attached):
        got = deliver(vault, room=attached)
        assert (got.code, got.there) == (1, set())
        assert got.result["error"]
        assert got.result["remedy"]
        attached.run("backup", "v", vault.source, code=1)
        vault.reset()
        assert deliver(vault, room=attached).code == 0, "nothing was made worse"


@pytest.fixture(scope="module")
def other(built: Vault) -> Path:
    """The repository of another vault: same tenant, same CMK, even the same content."""
    repo = built.folder / "other"
    built.room.run("vault", "create", "other", "--repo", f"file://{repo}", "--kms", "local-kms://main")
    built.room.run("backup", "other", built.source)
    return repo


def test_another_vaults_repository_in_its_place(vault: Vault, attached: Strongroom, other: Path) -> None:
    shutil.rmtree(vault.repo)
    shutil.copytree(other, vault.repo, ignore=shutil.ignore_patterns("jobs"))  # they are being removed
    before = sorted(path.name for path in vault.repo.rglob("*"))
    with awake(attached):  # neither who knows this vault's keys nor who has still to ask for them takes it
        for room in (vault.room, attached):
            got = deliver(vault, room=room)
            assert (got.code, got.there) == (1, set())
            assert "another vault" in got.result["error"]
            assert got.result["remedy"]
            room.run("backup", "v", vault.source, code=1)
            assert sorted(path.name for path in vault.repo.rglob("*")) == before, "nothing was put into it"


def test_single_objects_of_another_vault_in_their_place(vault: Vault, other: Path) -> None:
    """Its snapshots and packs under this vault's names are refused, and the rest is delivered."""
    packs = [path for path in (other / "packs").rglob("*") if path.is_file()]
    shutil.copy(max(packs, key=lambda path: path.stat().st_size), pack(vault, "c"))
    got = deliver(vault)
    assert got.code == 3
    assert {name.split("/")[0] for name in got.named} == {"c"}
    (snapshot,) = (other / "snapshots").iterdir()
    shutil.copy(snapshot, vault.repo / "snapshots" / vault.snapshots[-1])
    got = deliver(vault, vault.snapshots[-1])
    assert (got.code, got.there) == (1, set())
