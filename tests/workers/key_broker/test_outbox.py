"""What the key-broker says on a real message broker, and for how long it stays."""

from pathlib import Path

import pytest

from crypto import canonical
from crypto.keyrequest import KeyRequest, open_reply, request_digest
from crypto.registry import BACKUP
from crypto.signing import Signed
from tests.workers.key_broker.valkey import Valkey
from tests.workers.key_broker.world import World
from workers.key_broker.outbox import ANSWER_LIFE_MS, Outbox
from workers.key_broker.tasks import handle
from workers.lists import BrokerUnreachable, Lists


def test_answer_waits_on_its_list_for_a_minute(world: World, valkey: Valkey, outbox: Outbox) -> None:
    request = world.request()
    handle(world.service, outbox, canonical.to_text(canonical.encode(request)))
    name = canonical.decode(KeyRequest, request.message.body).reply_to
    assert 0 < valkey.root.pttl(name) <= ANSWER_LIFE_MS == 60_000
    lists = Lists(valkey.url(BACKUP))
    answer = lists.wait(name, 5.0)
    assert answer is not None
    signed = canonical.decode(Signed, answer)
    open_reply(world.registry, signed, request_digest(request), world.keys[BACKUP].opening)
    lists.close()


def test_unreachable_broker_is_a_typed_error(tmp_path: Path) -> None:
    outbox = Outbox(f"redis+socket://x:y@{tmp_path / 'none.sock'}?virtual_host=0")
    with pytest.raises(BrokerUnreachable):
        outbox.push_answer("reply:backup:00", b"x")
    with pytest.raises(BrokerUnreachable):
        outbox.publish_status(b"{}")
