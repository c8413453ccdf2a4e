"""How a stack is found."""

import fcntl
import os
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.home import Home
from config.stack_file import (
    StackFailure,
    StackInfo,
    config_changed,
    decode_line,
    encode_line,
    running_stack,
    write_stack_file,
)

INFO = StackInfo(pid=1, broker_url="redis+socket://client:x@/s", started_ms=1, seconds=0.5)


def test_a_stack_is_found_while_its_lock_is_held_and_not_after(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    assert running_stack(home) is None
    with home.stack_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert running_stack(home) is None
        write_stack_file(home, INFO)
        assert running_stack(home) == INFO
        assert home.stack_file.stat().st_mode & 0o777 == 0o600
    assert home.stack_file.exists()
    assert running_stack(home) is None


def test_a_failure_arrives_as_an_error_with_its_remedy() -> None:
    assert decode_line(encode_line(INFO)) == INFO
    with pytest.raises(ConfigError) as failure:
        decode_line(encode_line(StackFailure("it is broken", "mend it")))
    assert (failure.value.message, failure.value.remedy) == ("it is broken", "mend it")


def test_a_dead_supervisor_is_an_error() -> None:
    with pytest.raises(ConfigError, match="died"):
        decode_line(b"")


@pytest.mark.parametrize(("written_ms", "changed"), [(9_400, False), (9_600, True), (20_000, True)])
def test_a_config_that_was_written_after_it_was_read_is_told(
    tmp_path: Path, written_ms: int, changed: bool
) -> None:
    home = Home(tmp_path)
    info = StackInfo(pid=1, broker_url="", started_ms=10_000, seconds=0.5)
    assert not config_changed(home, info), "there is none"
    home.settings_file.write_text("")
    os.utime(home.settings_file, ns=(0, written_ms * 1_000_000))
    assert config_changed(home, info) is changed
