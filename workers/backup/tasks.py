"""The backup role: its tasks, and the way to run it."""

from typing import cast

from config.queues import BACKUP_SEGMENT, FINALIZE, INIT_VAULT, PLAN_BACKUP
from crypto.job import BackupSpec, InitSpec
from workers.admission import Job
from workers.app import app_for
from workers.backup.finalize import finalize
from workers.backup.plan import make_plan
from workers.backup.session import BackupProcess, BackupSession
from workers.backup.steps import init_vault, run_segment
from workers.duty import Duties
from workers.process import Process
from workers.reporting import Reporter
from workers.role import RoleContext
from workers.serve import serve

Rest = tuple[int | str, ...]


def run(context: RoleContext) -> None:
    """Be a backup worker until SIGTERM."""
    app = app_for(context)
    process = Process(context)
    own = BackupProcess(process)
    duties = Duties(app, process)

    def session(job: Job, reporter: Reporter) -> BackupSession:
        opened = BackupSession(own, job, duties.send, reporter.waiting)
        reporter.follow(opened.keys)
        return opened

    def plan(job: Job, reporter: Reporter, rest: Rest) -> None:
        make_plan(session(job, reporter), reporter, context.settings.epoch.max_age_days)

    def segment(job: Job, reporter: Reporter, rest: Rest) -> None:
        fence, number = cast(tuple[int, int], rest)
        run_segment(session(job, reporter), reporter, fence, number)

    def init(job: Job, reporter: Reporter, rest: Rest) -> None:
        init_vault(session(job, reporter), reporter)

    duties.add(PLAN_BACKUP, BackupSpec, plan)
    duties.add(BACKUP_SEGMENT, BackupSpec, segment, int, int)
    duties.add(FINALIZE, BackupSpec, lambda job, reporter, rest: finalize(session(job, reporter), reporter))
    duties.add(INIT_VAULT, InitSpec, init)
    serve(
        app,
        context.role,
        "prefork",
        context.settings.workers.backup,
        context.ready,
        on_process_start=process.start,
        on_process_stop=own.stop,
    )
