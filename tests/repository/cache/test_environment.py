"""One environment that processes share: what fits, what is replaced, and what a transaction may do."""

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from repository.cache import environment as module
from repository.cache.environment import Environment
from repository.cache.generations import Generations
from repository.errors import CacheDamaged, CacheUnusable

Process = Callable[[Callable[[], None]], int]
WORDS, OTHERS = TABLES = (b"words", b"others")
HEADER = b"of this vault"


def at(folder: Path, header: bytes = HEADER) -> Environment:
    return Environment(Generations(folder), header, TABLES)


def make(env: Environment, folder: Path, items: list[tuple[bytes, bytes]]) -> None:
    def fill() -> None:
        env.update(lambda update: update.put(WORDS, items))

    with Generations(folder).exclusive():
        env.replace(fill)


ITEMS = [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def env(folder: Path) -> Environment:
    made = at(folder)
    make(made, folder, ITEMS)
    return made


def test_entries_come_back_in_order_and_in_pieces(env: Environment) -> None:
    assert [env.get(WORDS, key) for key in (b"a", b"c", b"d")] == [b"1", b"3", None]
    assert env.get(OTHERS, b"a") is None
    assert env.items(WORDS, b"", 2) == ITEMS[:2]
    assert env.items(WORDS, b"b", 9) == ITEMS[1:]
    assert env.items(WORDS, b"bb", 9) == ITEMS[2:]
    assert env.items(WORDS, b"d", 9) == []
    assert env.count(WORDS) == 3


def test_another_process_sees_what_was_written(env: Environment, folder: Path, process: Process) -> None:
    before = env.version()
    env.close()

    def write() -> None:
        other = at(folder)
        assert other.open()
        assert other.version() == before
        other.update(lambda update: update.put(WORDS, [(b"d", b"4")]))

    assert process(write) == 0
    assert env.open()
    assert env.get(WORDS, b"d") == b"4"
    assert env.version() != before


def test_a_key_keeps_its_value_unless_it_is_set(env: Environment) -> None:
    assert env.update(lambda update: update.put(WORDS, [(b"a", b"9"), (b"d", b"4")])) == 1
    assert env.get(WORDS, b"a") == b"1"
    env.update(lambda update: update.set(WORDS, [(b"a", b"9")]))
    assert env.get(WORDS, b"a") == b"9"
    env.update(lambda update: update.clear(WORDS))
    assert env.count(WORDS) == 0


def test_a_transaction_that_fails_writes_nothing(env: Environment) -> None:
    def fail(update: module.Update) -> None:
        update.put(WORDS, [(b"d", b"4")])
        assert update.get(WORDS, b"d") == b"4"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        env.update(fail)
    assert env.get(WORDS, b"d") is None


def test_there_is_nothing_to_open_where_nothing_was_made(folder: Path) -> None:
    empty = at(folder)
    assert not empty.open()
    with pytest.raises(CacheDamaged, match="not open"):
        empty.get(WORDS, b"a")


@pytest.mark.parametrize("header", [b"", b"of another vault", HEADER + b"2"])
def test_what_is_of_another_vault_or_release_does_not_open_and_is_forgotten(
    env: Environment, folder: Path, header: bytes
) -> None:
    env.close()
    assert not at(folder, header).open()
    assert not at(folder).open(), "it counts no more"


@pytest.mark.parametrize("left", [0, 1, 4096, 8191, 8192])
def test_what_is_cut_short_does_not_open(env: Environment, folder: Path, left: int) -> None:
    env.close()
    (data,) = folder.glob("*/data.mdb")
    with data.open("r+b") as file:
        file.truncate(left)
    assert not at(folder).open()


def test_one_that_could_not_be_filled_leaves_the_former(env: Environment, folder: Path) -> None:
    env.close()

    def fail() -> None:
        raise ZeroDivisionError

    with Generations(folder).exclusive(), pytest.raises(ZeroDivisionError):
        at(folder).replace(fail)
    again = at(folder)
    assert again.open()
    assert again.get(WORDS, b"a") == b"1"
    assert len(list(folder.glob("*/data.mdb"))) == 1


def test_a_full_disk_is_no_damage_and_leaves_the_former(
    env: Environment, folder: Path, process: Process
) -> None:
    env.close()

    def write() -> None:
        other = at(folder)
        assert other.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (other.size(), other.size()))
        many = [(b"key %06d" % number, bytes(400)) for number in range(3000)]
        with pytest.raises(CacheUnusable) as refused:
            other.update(lambda update: update.put(WORDS, many))
        assert "disk" in refused.value.remedy

    assert process(write) == 0
    again = at(folder)
    assert again.open()
    assert again.count(WORDS) == 3


def test_the_map_grows_with_what_one_transaction_writes(
    env: Environment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.close()
    monkeypatch.setattr(module, "MAP_START", 64 << 10)
    assert env.open()
    many = [(b"key %06d" % number, bytes(400)) for number in range(3000)]
    tries: list[int] = []

    def write(update: module.Update) -> None:
        tries.append(1)
        update.put(OTHERS, many)

    env.update(write)
    assert len(tries) > 1, "or this does not test that it is done again"
    assert env.count(OTHERS) == 3000
