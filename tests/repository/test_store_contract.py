"""What every object store must do, on real ones. A new store joins by adding itself to `stores`."""

import secrets
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from config.settings import StoreSettings
from repository.directory import DirectoryPruner
from repository.errors import InvalidName, ObjectDamaged, ObjectExists, ObjectMissing
from repository.measure import Meter
from repository.place import S3Place, parse_place
from repository.retry import RetryPolicy
from repository.store import PruneStore
from repository.stores import open_pruner
from tests.s3_server import BUCKET, LOCKED

Make = Callable[[pytest.FixtureRequest, Path], PruneStore]


def s3_place(request: pytest.FixtureRequest, bucket: str = BUCKET, **options: str) -> S3Place:
    """A prefix that no other test uses."""
    place = parse_place(request.getfixturevalue("s3").uri(f"tests/{secrets.token_hex(8)}", bucket, **options))
    assert isinstance(place, S3Place)
    return place


def s3_store(place: S3Place) -> PruneStore:
    from repository.s3.store import S3Pruner

    return S3Pruner(place, StoreSettings(), RetryPolicy())


def stacked(request: pytest.FixtureRequest, path: Path) -> PruneStore:
    uri = (path / "store").as_uri()
    DirectoryPruner(path / "store", create=True)
    return open_pruner(uri, StoreSettings(max_mib_per_s=1e6), Meter())


def handover(request: pytest.FixtureRequest, path: Path) -> PruneStore:
    DirectoryPruner(path / "store", create=True)
    return open_pruner((path / "store").as_uri(), handover=True)


stores: dict[str, Make] = {
    "directory": lambda request, path: DirectoryPruner(path / "store", create=True),
    "directory, all decorators": stacked,
    "directory, handover": handover,
    "s3": lambda request, path: s3_store(s3_place(request)),
    "s3, all decorators": lambda request, path: open_pruner(
        s3_place(request).uri, StoreSettings(max_mib_per_s=1e6), Meter()
    ),
    "s3, versions and locks": lambda request, path: s3_store(
        s3_place(request, LOCKED, lock="governance", retention="1h")
    ),
    "s3, encrypted there": lambda request, path: s3_store(s3_place(request, sse="AES256")),
}


@pytest.fixture(params=sorted(stores))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> PruneStore:
    return stores[request.param](request, tmp_path)


def test_what_was_put_is_read(store: PruneStore) -> None:
    store.put("packs/ab/abcd", [b"one", bytearray(b"two"), memoryview(b"three")])
    assert store.get("packs/ab/abcd", 11) == b"onetwothree"
    assert store.size("packs/ab/abcd") == 11
    assert store.get_range("packs/ab/abcd", 3, 3) == b"two"
    out = bytearray(8)
    store.read_into("packs/ab/abcd", 3, memoryview(out))
    assert out == b"twothree"


LARGE = 17 << 20
"""So large that S3 gets it in parts, and gives it in pieces."""


def test_a_large_object_is_read_as_it_was_put(store: PruneStore) -> None:
    data = memoryview(secrets.token_bytes(LARGE))
    store.put("packs/ab/large", [data[:1000], b"", data[1000 : 9 << 20], data[9 << 20 :]])
    assert store.size("packs/ab/large") == LARGE
    out = bytearray(LARGE - 6)
    store.read_into("packs/ab/large", 3, memoryview(out))
    assert out == data[3:-3]
    assert store.get_range("packs/ab/large", (8 << 20) - 2, 4) == data[(8 << 20) - 2 :][:4]
    assert store.get("packs/ab/large", LARGE) == data
    with pytest.raises(ObjectExists):
        store.put("packs/ab/large", [data])
    with pytest.raises(ObjectDamaged):
        store.read_into("packs/ab/large", 4, memoryview(bytearray(LARGE)))


def test_an_empty_object_is_an_object(store: PruneStore) -> None:
    store.put("a", [])
    assert store.get("a", 0) == b""
    assert store.get_range("a", 0, 0) == b""
    assert list(store.list("")) == ["a"]


def test_an_object_is_never_overwritten(store: PruneStore) -> None:
    store.put("a", [b"first"])
    for body in (b"second", b"first"):
        with pytest.raises(ObjectExists):
            store.put("a", [body])
    assert store.get("a", 10) == b"first"


def test_of_many_writers_of_one_name_one_wins(store: PruneStore) -> None:
    bodies = [bytes([number]) * 50_000 for number in range(8)]
    won: list[bytes] = []
    barrier = threading.Barrier(len(bodies))

    def write(body: bytes) -> None:
        barrier.wait()
        try:
            store.put("snapshots/aa", [body])
        except ObjectExists:
            return
        won.append(body)

    threads = [threading.Thread(target=write, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.get("snapshots/aa", 50_000) == won[0]


def test_missing_objects_are_missing(store: PruneStore) -> None:
    for read in (
        lambda: store.get("a", 1),
        lambda: store.get_range("a", 0, 1),
        lambda: store.read_into("a", 0, memoryview(bytearray(1))),
        lambda: store.size("a"),
        lambda: store.get("a/b/c", 1),
    ):
        with pytest.raises(ObjectMissing):
            read()


def test_an_object_over_the_limit_is_refused(store: PruneStore) -> None:
    store.put("a", [b"12345"])
    with pytest.raises(ObjectDamaged):
        store.get("a", 4)


@pytest.mark.parametrize(("offset", "length"), [(0, 6), (5, 1), (6, 0), (3, 1 << 60), (1 << 62, 1), (-1, 2)])
def test_reading_past_the_end_is_refused(store: PruneStore, offset: int, length: int) -> None:
    store.put("a", [b"12345"])
    with pytest.raises(ObjectDamaged):
        store.get_range("a", offset, length)


def test_filling_past_the_end_is_refused(store: PruneStore) -> None:
    store.put("a", [b"12345"])
    with pytest.raises(ObjectDamaged):
        store.read_into("a", 1, memoryview(bytearray(5)))


def test_listing_is_sorted_and_below_the_prefix(store: PruneStore) -> None:
    names = [
        "packs/0a/x",
        "packs/0a0/y",
        "packs/0b/z",
        "config",
        "jobs/1/plan",
        "jobs/1/work-1-0",
        "jobs/10/plan",
    ]
    for name in names:
        store.put(name, [b"x"])
    assert list(store.list("")) == sorted(names)
    assert list(store.list("jobs/1/")) == ["jobs/1/plan", "jobs/1/work-1-0"]
    assert list(store.list("packs/")) == sorted(name for name in names if name.startswith("packs/"))
    assert list(store.list("nothing/")) == []


def test_sizes_are_listed_with_the_names(store: PruneStore) -> None:
    sizes = {f"packs/{number % 3}0/{number:02}": number for number in range(12)}
    for name, size in sizes.items():
        store.put(name, [bytes(size)])
    expected = sorted(sizes.items())
    assert list(store.sizes("packs/")) == expected == [(name, store.size(name)) for name, _ in expected]
    assert list(store.sizes("packs/", after=expected[5][0])) == expected[6:]
    assert list(store.sizes("packs/10/")) == [each for each in expected if each[0].startswith("packs/10/")]
    assert list(store.sizes("index/")) == []


def test_a_listing_goes_on_after_a_name(store: PruneStore) -> None:
    names = ["config", "jobs/1/plan", "jobs/1/work", "jobs/10/plan", "jobs/2/plan", "packs/0a/x"]
    for name in names:
        store.put(name, [b"x"])
    for after in ("", "a", "config", "jobs/1/plan", "jobs/1/zz", "jobs/10/plan", "packs/0a/x"):
        assert list(store.list("", after)) == [name for name in names if name > after]
    assert list(store.list("jobs/", "jobs/10/plan")) == ["jobs/2/plan"]


def test_extending_needs_the_object(store: PruneStore) -> None:
    with pytest.raises(ObjectMissing):
        store.extend("a")
    store.put("a", [b"x"])
    assert store.extend("a") is False, "there is no lock, or all of it is still ahead"


def test_sweeping_spares_what_is_new(store: PruneStore) -> None:
    store.put("a", [b"x"])
    assert store.sweep(3600.0) == 0
    assert store.get("a", 1) == b"x"


def test_deleting_twice_is_no_error(store: PruneStore) -> None:
    store.put("a", [b"x"])
    store.delete("a")
    store.delete("a")
    assert list(store.list("")) == []
    store.put("a", [b"y"])
    assert store.get("a", 1) == b"y"


BAD = ["", "/a", "a/", "a//b", "..", "a/../b", ".hidden", "A", "a b", "a\n", "a\0", "ä", "-a", "a" * 201]


@pytest.mark.parametrize("name", BAD)
def test_names_outside_the_layout_are_refused(store: PruneStore, name: str) -> None:
    for call in (
        lambda: store.put(name, [b"x"]),
        lambda: store.get(name, 1),
        lambda: store.size(name),
        lambda: store.delete(name),
    ):
        with pytest.raises(InvalidName):
            call()


@pytest.mark.parametrize("prefix", ["packs", "../", "/", ".x/", "a/../"])
def test_prefixes_outside_the_layout_are_refused(store: PruneStore, prefix: str) -> None:
    with pytest.raises(InvalidName):
        list(store.list(prefix))
