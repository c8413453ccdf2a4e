"""The maintenance role: its tasks, and the way to run it."""

from config.queues import CHECK, EXTEND, FORGET, PRUNE, SWEEP, TIDY
from crypto.job import CheckSpec, ExtendSpec, ForgetSpec, PruneSpec, SweepSpec, TidySpec
from workers.app import app_for
from workers.duty import Duties
from workers.maintenance.forget import forget
from workers.maintenance.prune import mark, sweep
from workers.maintenance.steps import check_vault, extend_locks, tidy
from workers.process import Process
from workers.role import RoleContext
from workers.serve import serve


def run(context: RoleContext) -> None:
    """Be a maintenance worker until SIGTERM."""
    app = app_for(context)
    process = Process(context)
    duties = Duties(app, process)
    duties.add(CHECK, CheckSpec, lambda job, reporter, rest: check_vault(process, job, reporter, duties.send))
    duties.add(FORGET, ForgetSpec, lambda job, reporter, rest: forget(process, job, reporter, duties.send))
    duties.add(PRUNE, PruneSpec, lambda job, reporter, rest: mark(process, job, reporter, duties.send))
    duties.add(SWEEP, SweepSpec, lambda job, reporter, rest: sweep(process, job, reporter, duties.send))
    duties.add(TIDY, TidySpec, lambda job, reporter, rest: tidy(process, job, reporter))
    duties.add(
        EXTEND, ExtendSpec, lambda job, reporter, rest: extend_locks(process, job, reporter, duties.send)
    )
    serve(
        app,
        context.role,
        "prefork",
        context.settings.workers.maintenance,
        context.ready,
        on_process_start=process.start,
        on_process_stop=process.stop,
    )
