"""What every process of the stack does first: it cannot be dumped, and what it writes is its owner's."""

import re
from pathlib import Path

from config import queues
from tests.workers.stack_control import (
    children_of,
    one_shot,
    socket_of,
    until,
)


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
