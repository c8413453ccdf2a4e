"""The scheduler as a Celery worker: three tasks, each one call of `scheduler.service.Scheduler`."""

import socket

from celery import Celery

from config.queues import REPORT, SCHEDULER_QUEUE, SUBMIT, TICK
from scheduler.ledger import Ledger
from scheduler.parts import Parts
from scheduler.publisher import BrokerPublisher
from scheduler.service import Scheduler
from scheduler.stacks import stack_id
from workers.app import app_for
from workers.process import RegistryFile, load_identity, now_ms
from workers.role import RoleContext
from workers.serve import serve


def run(context: RoleContext) -> None:
    """Be the scheduler until SIGTERM. Called in the role's own process, after the fork.

    Raises:
        StrongroomError: no identity, no ledger; the message says what to do.
    """
    app = app_for(context)
    publisher = BrokerPublisher(app, context.broker_url, context.settings.broker)
    ledger = Ledger(context.home.ledger_db)
    scheduler = Scheduler(
        Parts(
            identity=load_identity(context.home, context.role),
            registry=RegistryFile(context.home.registry_file).current,
            ledger=ledger,
            publisher=publisher,
            stack=stack_id(context.broker_url, external=bool(context.settings.broker.url)),
            one_shot=context.one_shot,
            schedules=context.settings.schedules,
            retention=context.settings.retention,
            hostname=socket.gethostname(),
        )
    )
    register(app, scheduler)
    scheduler.start(now_ms())
    try:
        serve(app, context.role, "solo", 1, context.ready)
    finally:
        scheduler.stop(now_ms())
        publisher.close()
        ledger.close()


def register(app: Celery, scheduler: Scheduler) -> None:
    """Give `app` the scheduler's tasks: SUBMIT and REPORT with one text each, TICK with nothing."""

    def submit(text: str) -> None:
        scheduler.submit(text, now_ms())

    def report(text: str) -> None:
        scheduler.report(text, now_ms())

    def tick() -> None:
        scheduler.tick(now_ms())

    for name, function in ((SUBMIT, submit), (REPORT, report), (TICK, tick)):
        app.task(name=name, queue=SCHEDULER_QUEUE, ignore_result=True)(function)
