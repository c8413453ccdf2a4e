"""Flower shows tasks to who knows the password, and lets nobody act."""

import json
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

from config import queues
from config.settings import Settings
from tests.workers.stack.kept import kept_stack
from tests.workers.stack_control import (
    until,
)
from workers.app import make_app
from workers.task import send


def get(url: str, user: str = "", password: str = "", data: bytes | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, data=data)
    if user:
        request.add_header("Authorization", "Basic " + b64encode(f"{user}:{password}".encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, ""


def test_flower_shows_tasks_to_who_knows_the_password_and_lets_nobody_act(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[monitor]\nflower_port = 0\n")
    with kept_stack(tmp_path, "--flower") as (_, info, _):
        assert info.flower_url.startswith("http://127.0.0.1:")
        login = (info.flower_user, info.flower_password)
        assert get(info.flower_url + "api/tasks")[0] == 401
        assert get(info.flower_url + "workers")[0] == 401
        assert get(info.flower_url + "api/tasks", "strongroom", "wrong")[0] == 401
        app = make_app(queues.BACKUP, Settings(), (tmp_path / "marks" / "backup-url").read_text())

        def shown() -> str:
            return get(info.flower_url + "api/tasks", *login)[1]

        def seen_after_sending() -> bool:
            send(app, "backup.mark", "hush")
            return "backup.mark" in shown()

        until(seen_after_sending)
        send(app, "backup.leak", "hush")
        until(lambda: "FAILURE" in shown())
        tasks = json.loads(shown())
        # None: Flower connected between the task's first event and its next.
        assert {task["args"] for task in tasks.values()} <= {"sealed", None}
        assert "hush" not in shown()
        assert "TaskFailed" in shown()
        for action in ("task/send-task/backup.mark", "worker/shutdown/backup@strongroom"):
            assert get(info.flower_url + "api/" + action, *login, data=b'{"args":["acted"]}')[0] == 403
        assert not (tmp_path / "marks" / "acted").exists()
        app.close()
