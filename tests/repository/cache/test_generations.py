"""Which generation of a cache counts, and that nobody else can say so."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from repository.cache.generations import Generations, make_private
from repository.errors import CacheUnusable

Process = Callable[[Callable[[], None]], int]


@pytest.fixture
def generations(tmp_path: Path) -> Generations:
    found = Generations(tmp_path / "cache" / "vault")
    with found.exclusive():
        pass
    return found


def test_one_counts_once_it_is_published_and_the_others_are_gone(generations: Generations) -> None:
    assert generations.current() == ""
    first = generations.new()
    assert generations.current() == "", "it is not complete yet"
    generations.publish(first)
    assert generations.current() == first
    second = generations.new()
    assert (generations.folder / first).is_dir(), "those who read it keep it"
    generations.publish(second)
    assert generations.current() == second
    assert not (generations.folder / first).exists()


def test_what_a_dead_process_began_is_cleared_away_by_the_next(generations: Generations) -> None:
    counts = generations.new()
    generations.publish(counts)
    dead = generations.new()
    (generations.folder / dead / "data.mdb").write_bytes(b"x")
    new = generations.new()
    left = {entry.name for entry in generations.folder.iterdir() if entry.is_dir()}
    assert left == {counts, new}


def test_only_the_one_that_counts_is_forgotten(generations: Generations) -> None:
    first = generations.new()
    generations.publish(first)
    generations.forget("0" * 16)
    assert generations.current() == first
    generations.forget(first)
    assert generations.current() == ""
    generations.forget(first)


@pytest.mark.parametrize(
    "content", [b"", b"0123", b"0" * 17, b"../../etc/passwd", b"a" * 15 + b"/", b"\xc3" * 16]
)
def test_what_is_no_name_of_ours_leads_nowhere(generations: Generations, content: bytes) -> None:
    (generations.folder / "current").write_bytes(content)
    assert generations.current() == ""


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o755, 0o701])
def test_a_folder_that_others_may_enter_says_nothing(generations: Generations, mode: int) -> None:
    generations.publish(generations.new())
    generations.folder.chmod(mode)
    assert generations.current() == ""
    with pytest.raises(CacheUnusable, match="not ours alone"), generations.exclusive():
        pass


def test_what_stands_in_the_way_is_told_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(CacheUnusable) as refused, Generations(tmp_path / "cache" / "vault").exclusive():
        pass
    assert "cache" in refused.value.remedy


def test_private_is_private_from_the_top(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    before = os.umask(0)
    try:
        make_private(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    for folder in ("a", "a/b", "a/b/c"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700


def test_the_others_wait_and_a_dead_holder_is_no_holder(
    generations: Generations, process: Process, die: Callable[[], None]
) -> None:
    def hold_and_die() -> None:
        with generations.exclusive():
            die()

    assert process(hold_and_die) == -9
    entered = threading.Event()

    def enter() -> None:
        with generations.exclusive():
            entered.set()

    with generations.exclusive():
        waiting = threading.Thread(target=enter)
        waiting.start()
        assert not entered.wait(0.1)
    waiting.join()
    assert entered.is_set()
