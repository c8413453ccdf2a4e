"""What every process of the stack does first: it cannot be dumped, and what it writes is its owner's."""

import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config import queues
from tests.workers.stack_control import (
    children_of,
    one_shot,
    socket_of,
    until,
)
from workers.stack import processes
from workers.stack.processes import EXIT_CRASHED, fork, open_log


def test_everything_private_is_owner_only(tmp_path: Path) -> None:
    with one_shot(tmp_path) as (info, _, _):
        folder = socket_of(info.broker_url).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        for path in [*folder.iterdir(), *(tmp_path / "logs").iterdir()]:
            assert path.stat().st_mode & 0o077 == 0, path
        password = info.broker_url.partition("@")[0].rpartition(":")[2]
        for path in [*folder.glob("*.acl"), *folder.glob("*.conf"), *(tmp_path / "logs").iterdir()]:
            assert password not in path.read_text(errors="replace")


def test_roles_cannot_be_dumped_or_traced(tmp_path: Path) -> None:
    with one_shot(tmp_path) as (_, process, _):
        for name, pid in children_of(process.pid).items():
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"Max core file size +0 +0 ", limits), name
        for role in queues.QUEUE_OF_ROLE:
            said = tmp_path / "marks" / f"{role}-hardened"
            until(lambda: said.exists() and said.read_text() == "True")  # noqa: B023


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def crash() -> None:
    logging.getLogger(processes.__name__).addHandler(logging.StreamHandler(os.fdopen(2, "w")))
    raise ValueError("/home/secret-path")


def leave_with_words() -> None:
    sys.exit("words")


@pytest.mark.parametrize(
    ("main", "code"),
    [
        (lambda: None, 0),
        (lambda: sys.exit(3), 3),
        (sys.exit, 0),
        (leave_with_words, 1),
        (crash, EXIT_CRASHED),
    ],
)
def test_how_it_ended_is_its_exit_code_and_no_text_of_an_error_is_in_its_log(
    tmp_path: Path, main: Callable[[], None], code: int
) -> None:
    log = tmp_path / "role.log"
    assert ended(fork(main, log=log)) == code
    assert "secret-path" not in log.read_text()
    assert ("crashed" in log.read_text()) == (code == EXIT_CRASHED)


def test_a_child_has_the_descriptors_that_it_is_to_keep_and_no_others(tmp_path: Path) -> None:
    kept, other = os.pipe(), os.pipe()

    def look() -> None:
        os.write(kept[1], b"kept")
        try:
            os.write(other[1], b"other")
        except OSError:
            sys.exit(7)

    for descriptor in (kept[1], other[1]):
        os.set_inheritable(descriptor, True)
    try:
        assert ended(fork(look, log=tmp_path / "log", keep=(kept[1],))) == 7
        assert os.read(kept[0], 10) == b"kept"
    finally:
        for descriptor in (*kept, *other):
            os.close(descriptor)


def test_what_a_child_writes_is_its_owners(tmp_path: Path) -> None:
    def write() -> None:
        (tmp_path / "file").write_text("x")

    assert ended(fork(write, log=tmp_path / "log")) == 0
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("file", "log")} == {0o600}


def test_a_log_that_has_grown_too_large_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 10)
    log = tmp_path / "role.log"
    for text in (b"0123456789", b"+", b"new"):
        descriptor = open_log(log)
        os.write(descriptor, text)
        os.close(descriptor)
    assert (log.read_bytes(), (tmp_path / "role.log.1").read_bytes()) == (b"new", b"0123456789+")
