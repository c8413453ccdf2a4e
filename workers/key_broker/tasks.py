"""The key-broker as a Celery worker: one task that unpacks a text, asks the service, delivers its answer."""

from __future__ import annotations

import logging

import msgspec
from celery import Celery

from config.errors import StrongroomError
from config.queues import JOB_OVER, UNWRAP
from crypto import canonical
from crypto.errors import Malformed
from workers.app import app_for
from workers.key_broker.build import build_service
from workers.key_broker.outbox import Outbox
from workers.key_broker.service import KeyService
from workers.process import now_ms
from workers.role import RoleContext
from workers.serve import serve

logger = logging.getLogger(__name__)


def run(context: RoleContext) -> None:
    """Be the key-broker until SIGTERM. Called in the role's own process, after the fork.

    Raises:
        StrongroomError: no identity, no database; the message says what to do.
    """
    app = app_for(context)
    threads = context.settings.workers.keys_threads
    service = build_service(context.home, context.settings.kms, threads)
    outbox = Outbox(context.broker_url, context.settings.broker)
    register(app, service, outbox)

    def ready() -> None:
        publish_status(service, outbox)
        context.ready()

    try:
        serve(app, context.role, "threads", threads, ready)
    finally:
        outbox.close()
        service.close()


def register(app: Celery, service: KeyService, outbox: Outbox) -> None:
    """Give `app` the tasks UNWRAP and JOB_OVER: one argument each, the canonical text of a signed message.

    A key request is acknowledged before it runs: a second delivery would be refused as a replay. The requester, to
    whom no answer means that its request was lost, asks again with a new nonce.
    """

    def unwrap(text: str) -> None:
        handle(service, outbox, text)

    def job_over(text: str) -> None:
        handle_end(service, text)

    app.task(name=UNWRAP, acks_late=False, ignore_result=True)(unwrap)
    app.task(name=JOB_OVER, ignore_result=True)(job_over)


def handle(service: KeyService, outbox: Outbox, text: object) -> None:
    """Answer the request in `text`; whatever is not one ends here without a reply.

    Raises:
        BrokerUnreachable: the answer could not be delivered.
    """
    try:
        envelope = canonical.from_text(text)
    except Malformed as error:
        # Not even bytes; the service audits what is.
        logger.warning("ignored a message: %s", error.message)
        return
    answer = service.answer(envelope, now_ms())
    if answer is not None:
        outbox.push_answer(answer.reply_list, answer.reply)
    publish_status(service, outbox)


def handle_end(service: KeyService, text: object) -> None:
    """Take note of the end of a job in `text`; whatever is not one ends here."""
    try:
        said = canonical.from_text(text)
    except Malformed as error:
        logger.warning("ignored a message: %s", error.message)
        return
    service.end_job(said, now_ms())


def publish_status(service: KeyService, outbox: Outbox) -> None:
    """Publish the broker's counters; that they cannot be is logged, and no request fails for it."""
    try:
        outbox.publish_status(msgspec.json.encode(service.status()))
    except StrongroomError as error:
        logger.warning("the status is not published: %s", error.message)
