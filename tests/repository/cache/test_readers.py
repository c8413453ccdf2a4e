"""Which deaths cast doubt on a cache: one while it read, or two while they wrote."""

from collections.abc import Callable
from pathlib import Path

import pytest

from repository.cache.readers import IDLE, READING, WRITING, Mark, killed_somebody

Process = Callable[[Callable[[], None]], int]


@pytest.fixture
def killed(tmp_path: Path, process: Process, die: Callable[[], None]) -> Callable[[int], None]:
    """A process that did this when it died."""

    def kill(doing: int) -> None:
        def work() -> None:
            Mark(tmp_path).doing[0] = doing
            die()

        assert process(work) == -9

    return kill


def marks(folder: Path) -> int:
    return len(list(folder.glob("process-*")))


def test_a_death_while_it_read_is_told_once(tmp_path: Path, killed: Callable[[int], None]) -> None:
    killed(IDLE)
    assert not killed_somebody(tmp_path)
    killed(READING)
    killed(IDLE)
    assert killed_somebody(tmp_path)
    assert marks(tmp_path) == 0
    assert not killed_somebody(tmp_path)


def test_only_the_second_death_while_it_wrote_is_told(tmp_path: Path, killed: Callable[[int], None]) -> None:
    killed(WRITING)
    assert not killed_somebody(tmp_path)
    killed(WRITING)
    assert killed_somebody(tmp_path)


@pytest.mark.parametrize("doing", [READING, WRITING])
def test_who_lives_has_not_died(tmp_path: Path, doing: int) -> None:
    mark = Mark(tmp_path)
    mark.doing[0] = doing
    for _ in range(2):
        assert not killed_somebody(tmp_path)
    assert marks(tmp_path) == 1
    mark.close()
    assert marks(tmp_path) == 0


def test_an_empty_mark_is_of_one_that_did_nothing_yet(tmp_path: Path) -> None:
    (tmp_path / "process-0123").write_bytes(b"")
    assert not killed_somebody(tmp_path)
    assert marks(tmp_path) == 0
