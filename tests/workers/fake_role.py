"""A role for tests: serves its queue with small tasks that leave marks in the home, and nothing else."""

import os
import time
from pathlib import Path

from config import queues
from config.celery_settings import PREFORK_ROLES
from config.hardening import is_hardened
from workers.app import make_app
from workers.serve import Pool, RoleContext, serve

POOLS: dict[str, Pool] = {queues.SCHEDULER: "solo", queues.KEY_BROKER: "threads"}


class FakeLeakError(Exception):
    """Carries what no log may show."""


def run(context: RoleContext) -> None:
    """Serve `<queue>.mark` (writes a file), `.hold` (sleeps), `.die` (kills its process), `.leak` (fails)."""
    app = make_app(context.role, context.settings, context.broker_url)
    marks = context.home.root / "marks"
    marks.mkdir(exist_ok=True)
    queue = queues.QUEUE_OF_ROLE[context.role]
    # A real role keeps it to itself; the tests act as this one.
    (marks / f"{context.role}-url").write_text(context.broker_url)
    (marks / f"{context.role}-passphrase").write_text(os.environ.get("STRONGROOM_KMS_PASSPHRASE", ""))

    @app.task(name=f"{queue}.mark")
    def mark(name: str) -> None:
        _note(marks, name)

    @app.task(name=f"{queue}.hold")
    def hold(name: str, tenths: int) -> None:
        _note(marks, f"busy-{os.getpid()}")
        _note(marks, f"{name}-begun")
        time.sleep(tenths / 10)
        _note(marks, f"{name}-done")

    @app.task(name=f"{queue}.die")
    def die(name: str) -> None:
        _note(marks, f"{name}-{os.getpid()}")
        os.kill(os.getpid(), 9)

    @app.task(name=f"{queue}.leak")
    def leak(secret: str) -> str:
        raise FakeLeakError(secret)

    @app.task(name=queues.TICK)
    def tick() -> None:
        _note(marks, f"tick-{time.time_ns()}")

    def started() -> None:
        (marks / f"{context.role}-hardened").write_text(str(is_hardened()))
        _note(marks, f"{context.role}-started-{os.getpid()}")

    def stopped() -> None:
        _note(marks, f"{context.role}-stopped-{os.getpid()}")

    pool = POOLS.get(context.role, "prefork")
    concurrency = 2 if context.role in PREFORK_ROLES else 4
    serve(
        app, context.role, pool, concurrency, context.ready, on_process_start=started, on_process_stop=stopped
    )


def _note(marks: Path, name: str) -> None:
    (marks / name).write_text("")
