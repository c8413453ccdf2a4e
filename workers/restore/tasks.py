"""The restore role: its tasks, and the way to run it."""

from typing import cast

from config.queues import DIFF, FIND, LIST, PLAN_RESTORE, RESTORE_SEGMENT
from crypto.job import DiffSpec, FindSpec, ListSpec, RestoreSpec
from workers.admission import Job
from workers.app import app_for
from workers.duty import Duties
from workers.process import Process
from workers.reporting import Reporter
from workers.restore.deliver import deliver_segment
from workers.restore.diff import diff
from workers.restore.find import find
from workers.restore.session import RestoreProcess, RestoreSession
from workers.restore.steps import list_snapshot, plan_restore
from workers.role import RoleContext
from workers.serve import serve

Rest = tuple[int | str, ...]


def run(context: RoleContext) -> None:
    """Be a restore worker until SIGTERM."""
    app = app_for(context)
    process = Process(context)
    own = RestoreProcess(process)
    duties = Duties(app, process)

    def session(job: Job, reporter: Reporter) -> RestoreSession:
        opened = RestoreSession(own, job, duties.send, reporter.waiting)
        reporter.follow(opened.keys)
        return opened

    def segment(job: Job, reporter: Reporter, rest: Rest) -> None:
        snapshot_id, number = cast(tuple[str, int], rest)
        deliver_segment(session(job, reporter), reporter, snapshot_id, number)

    def listing(job: Job, reporter: Reporter, rest: Rest) -> None:
        list_snapshot(session(job, reporter), reporter)

    def search(job: Job, reporter: Reporter, rest: Rest) -> None:
        find(session(job, reporter), reporter)

    def comparison(job: Job, reporter: Reporter, rest: Rest) -> None:
        diff(session(job, reporter), reporter)

    def plan(job: Job, reporter: Reporter, rest: Rest) -> None:
        plan_restore(session(job, reporter), reporter)

    duties.add(PLAN_RESTORE, RestoreSpec, plan)
    duties.add(RESTORE_SEGMENT, RestoreSpec, segment, str, int)
    duties.add(LIST, ListSpec, listing)
    duties.add(FIND, FindSpec, search)
    duties.add(DIFF, DiffSpec, comparison)
    serve(
        app,
        context.role,
        "prefork",
        context.settings.workers.restore,
        context.ready,
        on_process_start=process.start,
        on_process_stop=own.stop,
    )
