"""The embedded server's own troubles."""

from pathlib import Path

import pytest

from workers.stack.errors import ServerFailed
from workers.stack.valkey import MAX_SOCKET_PATH, Valkey, server_binary


def test_a_path_that_no_socket_can_have_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="longer") as refusal:
        Valkey(tmp_path / ("x" * MAX_SOCKET_PATH), tmp_path / "log")
    assert "TMPDIR" in refusal.value.remedy


def test_a_server_that_does_not_start_is_noticed_at_once(tmp_path: Path) -> None:
    valkey = Valkey(tmp_path, tmp_path / "valkey.log")
    valkey.configure({}, extra_acl="user nonsense +no|such|command\n")
    pid = valkey.start()
    with pytest.raises(ServerFailed, match="does not start"):
        valkey.wait(pid)


def test_there_is_a_server_for_this_machine() -> None:
    assert Path(server_binary()).is_file()
