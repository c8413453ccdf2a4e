"""Flower: behind a password, read-only, with names and progress that a person understands, and nothing secret."""

import base64
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.queues import TASKS
from tests.whole.room import Strongroom, furnished, make_tree, wait_for

SECRET = "embarrassing-name"
PAGES = ("/", "/workers", "/tasks", "/broker", "/api/tasks", "/api/workers", "/api/task/types", "/metrics")
POSTS = (
    "/api/worker/shutdown/backup@strongroom",
    "/api/worker/pool/restart/backup@strongroom",
    "/api/worker/pool/grow/backup@strongroom?n=3",
    "/api/worker/queue/add-consumer/backup@strongroom?queue=keys",
    "/api/task/async-apply/scheduler.tick",
    "/api/task/send-task/scheduler.tick",
    "/api/task/apply/scheduler.tick",
    "/api/task/revoke/00000000-0000-0000-0000-000000000000?terminate=true",
    "/api/task/rate-limit/backup.segment?workername=backup@strongroom&ratelimit=1",
    "/api/task/timeout/backup.segment?workername=backup@strongroom&hard=1",
)


class Web:
    """Flower's pages, as somebody with or without the password."""

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        self.url = url.rstrip("/")
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}"} if user else {}

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        data = b"{}" if method == "POST" else None
        request = urllib.request.Request(self.url + path, data, self._headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def tasks(self) -> dict[str, Any]:
        status, body = self.ask("/api/tasks?limit=1000")
        assert status == 200, body
        return dict(json.loads(body))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Strongroom, dict[str, Any], Path]]:
    """A stack with Flower that has done one of each job, about things with telling names."""
    folder = tmp_path_factory.mktemp("flower")
    source = folder / SECRET
    make_tree(source, files=30)
    room = Strongroom(folder / "home", STRONGROOM_MONITOR_FLOWER_PORT="0")
    with furnished(room, folder / "repo", f"{SECRET}-vault") as made:
        up = made.json("up", "--flower")
        made.run("backup", f"{SECRET}-vault", source, "--tag", SECRET)
        made.run("restore", f"{SECRET}-vault", f"latest:{source}", "--target", folder / f"to-{SECRET}")
        made.run("snapshots", f"{SECRET}-vault")
        made.run("check", f"{SECRET}-vault")
        yield made, up, source


def visitor(up: dict[str, Any]) -> Web:
    return Web(up["flower_url"], up["flower_user"], up["flower_password"])


def test_it_is_on_loopback_and_status_tells_where(watched: tuple[Strongroom, dict[str, Any], Path]) -> None:
    room, up, _ = watched
    assert up["flower_url"].startswith("http://127.0.0.1:")
    assert len(up["flower_password"]) >= 16
    assert room.json("status")["stack"]["flower_url"] == up["flower_url"]


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_shown_without_the_password(
    watched: tuple[Strongroom, dict[str, Any], Path], path: str
) -> None:
    _, up, _ = watched
    for stranger in (Web(up["flower_url"]), Web(up["flower_url"], up["flower_user"], "guess")):
        status, body = stranger.ask(path)
        assert status == 401
        assert "backup.plan" not in body
    status, _ = visitor(up).ask(path)
    assert status == 200, "with it, it is"


def test_tasks_have_names_states_and_progress(watched: tuple[Strongroom, dict[str, Any], Path]) -> None:
    _, up, _ = watched
    web = visitor(up)
    names = {"scheduler.submit", "backup.plan", "backup.segment", "backup.finalize", "restore.plan"}
    names |= {"restore.segment", "restore.list", "maintenance.check", "keys.unwrap"}
    wait_for(lambda: names <= {each["name"] for each in web.tasks().values() if each["state"] == "SUCCESS"})
    tasks = web.tasks()
    assert {each["name"] for each in tasks.values()} <= set(TASKS)
    assert {each["state"] for each in tasks.values()} <= {"SUCCESS", "STARTED", "RECEIVED", "PROGRESS"}


def test_progress_shows_live(watched: tuple[Strongroom, dict[str, Any], Path], tmp_path: Path) -> None:
    """It is there while a task runs and gone when it ends, so it takes a look at the right moment."""
    room, up, _ = watched
    web = visitor(up)
    for attempt in range(5):
        source = tmp_path / f"attempt{attempt}"
        source.mkdir()
        for number in range(2000):
            (source / f"file{number}").write_bytes(os.urandom(20_000))
        command = room.start("backup", f"{SECRET}-vault", source)
        while command.poll() is None:
            for each in web.tasks().values():
                if each["state"] == "PROGRESS":
                    command.communicate(timeout=60)
                    assert each["name"] == "backup.segment"
                    assert re.fullmatch(r"segment \d+: \d+ files, \d+ MB", each["result"])
                    return
        command.communicate(timeout=60)
    pytest.fail("no progress was seen")


def test_arguments_and_results_tell_nothing(watched: tuple[Strongroom, dict[str, Any], Path]) -> None:
    _, up, source = watched
    web = visitor(up)
    tasks = web.tasks()
    for each in tasks.values():
        assert each["args"] in ("sealed", "'sealed'", None)
        assert each["kwargs"] in ("{}", None)
        assert each["exception"] is None
        assert each["traceback"] is None
    pages = [web.ask(path)[1] for path in PAGES] + [web.ask(f"/task/{uuid}")[1] for uuid in tasks]
    everything = "\n".join(pages)
    assert "backup.segment" in everything, "the pages were read"
    for name in (SECRET, source.parent.name, os.uname().nodename + ":", "local-kms://"):
        assert name not in everything


@pytest.mark.parametrize("path", POSTS)
def test_nothing_can_be_done(watched: tuple[Strongroom, dict[str, Any], Path], path: str) -> None:
    room, up, _ = watched
    before = sorted(room.processes())
    status, body = visitor(up).ask(path, "POST")
    assert status in (401, 403, 404, 405), body
    assert sorted(room.processes()) == before
    room.run("status")
