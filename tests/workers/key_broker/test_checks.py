"""Each check of a request, by its number: nothing is asked of a KMS before all of them hold."""

import pytest

from crypto.keyrequest import REFUSALS
from tests.workers.key_broker.refusals import CASES
from tests.workers.key_broker.world import World
from workers.key_broker.audit import NOISE, REFUSED


@pytest.mark.parametrize("name", CASES)
def test_refused_request_causes_no_kms_call_and_one_audit_entry(world: World, name: str) -> None:
    case = CASES[name]
    request = case.build(world)
    calls, entries = world.calls, len(world.entries())
    reply = world.reply(request)
    assert world.calls == calls
    (entry,) = world.entries()[entries:]
    assert (entry.code, entry.step, entry.kms_calls) == (case.code, case.step, 0)
    if case.answered:
        assert entry.event == REFUSED
        assert reply is not None
        assert reply.given == ()
        assert reply.refusal is not None
        assert reply.refusal.code == case.code
        assert not reply.refusal.retryable
    else:
        assert entry.event == NOISE
        assert reply is None


def test_control_the_unchanged_request_is_granted(world: World) -> None:
    """Without this, a service that refuses everything would pass the test above."""
    world.granted(world.request())
    assert world.calls == 1


def test_every_code_is_known_to_requesters() -> None:
    assert {case.code for case in CASES.values()} <= set(REFUSALS)
