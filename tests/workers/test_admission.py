"""Nothing in a message is believed before all four checks hold."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.errors import StrongroomError
from crypto import canonical, job
from crypto.errors import Expired, Malformed, OutOfScope, SealBroken, Untrusted
from crypto.identity import Identity
from crypto.job import MAX_SPEC, seal_spec
from crypto.ticket import DECRYPT
from tests.client.deliveries import enrolled, now_ms
from tests.workers.broker_server import Server
from tests.workers.working import VAULT, Working, working
from workers.admission import admit


@pytest.fixture
def worker(tmp_path: Path, broker: Server) -> Iterator[Working]:
    with working(tmp_path, broker, "restore") as made:
        yield made


def spec(worker: Working) -> job.ListSpec:
    return job.ListSpec("file:///repo", worker.requester, "", b"", "file:///delivery")


def test_a_good_message_is_a_job_and_wakes_its_next_step_as_it_came(worker: Working) -> None:
    texts = worker.texts(spec(worker))
    admitted = admit(worker.process, *texts)
    assert (admitted.spec, admitted.vault) == (spec(worker), VAULT)
    assert admitted.ticket.operations == (DECRYPT,)
    assert admitted.texts() == texts


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"role": "backup"}, OutOfScope),
        ({"spec": bytes(32)}, OutOfScope),
        ({"expires_ms": 1}, Expired),
        ({"not_before_ms": now_ms() + 3_600_000}, Expired),
        ({"vault": b"?" * 16}, OutOfScope),
        ({"tenant": b"?" * 16}, OutOfScope),
        ({"version": 2}, Untrusted),
    ],
)
def test_a_ticket_for_anything_else_is_refused(
    worker: Working, changes: dict[str, object], error: type[StrongroomError]
) -> None:
    with pytest.raises(error):
        admit(worker.process, *worker.texts(spec(worker), None, **changes))


def test_only_an_enrolled_scheduler_issues_tickets(worker: Working) -> None:
    for signer in (Identity.generate("scheduler"), worker.identity):
        with pytest.raises((Untrusted, OutOfScope)):
            admit(worker.process, *worker.texts(spec(worker), signer))


def test_a_spec_of_another_ticket_or_for_another_worker_is_refused(worker: Working) -> None:
    (ticket, _), (_, other) = worker.texts(spec(worker)), worker.texts(spec(worker))
    with pytest.raises(OutOfScope):
        admit(worker.process, ticket, other)
    sealed = seal_spec(spec(worker), b"j" * 16, [enrolled(Identity.generate("restore"), "restore")])
    ticket, _ = worker.texts(spec(worker), job=b"j" * 16, spec=job.digest(sealed))
    with pytest.raises(SealBroken):
        admit(worker.process, ticket, canonical.to_text(sealed))


@pytest.mark.parametrize("text", ["", "!", "AAA", "A" * (2 * MAX_SPEC)])
def test_noise_in_either_place_is_refused(worker: Working, text: str) -> None:
    ticket, sealed = worker.texts(spec(worker))
    for pair in ((text, sealed), (ticket, text)):
        with pytest.raises((Malformed, OutOfScope)):
            admit(worker.process, *pair)
