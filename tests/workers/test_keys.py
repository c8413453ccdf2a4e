"""A worker's way to a key: a real key-broker behind a real list, and what comes instead of its answer."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.errors import StrongroomError
from config.queues import UNWRAP
from config.settings import Settings
from crypto import canonical, job
from crypto.certificate import ProcessSigned
from crypto.errors import KeyRefused, KeyWiped, OutOfScope
from crypto.keyrecord import DEK
from crypto.keyrequest import KeyRequest
from crypto.registry import BACKUP, KEY_BROKER
from crypto.ticket import DECRYPT, ENCRYPT, GENERATE, Ticket
from repository.directory import DirectoryWriter
from repository.layout import dek_name
from tests.workers.broker_server import Server
from tests.workers.key_broker.world import World
from workers import keys as module
from workers.admission import Job
from workers.key_broker.outbox import Outbox
from workers.key_broker.tasks import handle
from workers.keys import KeyBrokerSilent, VaultKeys
from workers.process import Process
from workers.role import RoleContext

Told = list[tuple[str, float]]


class Asking:
    """A backup process that asks for keys; `before` sees each request before the key-broker does."""

    def __init__(self, root: Path, server: Server) -> None:
        self.world = World(root)
        (self.world.home.identities / BACKUP).write_bytes(self.world.workers[BACKUP].encode())
        context = RoleContext(
            BACKUP, self.world.home, Settings(), server.url(BACKUP), lambda: None, one_shot=True
        )
        self.process = Process(context)
        self.process.start()
        self.outbox = Outbox(server.url(KEY_BROKER))
        self.store = DirectoryWriter(root / "repo", create=True)
        self.before: Callable[[KeyRequest], bool] = lambda _: True
        """False: the key-broker does not hear of it."""
        self.asked: list[str] = []

    def keys(self, *operations: str, sealing_epoch: int | None = None, unwraps: int = 8) -> VaultKeys:
        signed = self.world.ticket(operations=operations, max_unwraps=unwraps)
        spec = job.BackupSpec("file:///repo", bytes(32), (), (), (), "")
        admitted = Job(canonical.decode(Ticket, signed.body), signed, b"", spec)
        return VaultKeys(self.process, admitted, self.store, self._send, sealing_epoch)

    def _send(self, task: str, text: str, expires_s: float) -> None:
        assert task == UNWRAP
        self.asked.append(text)
        signed = canonical.decode(ProcessSigned, canonical.from_text(text))
        if self.before(canonical.decode(KeyRequest, signed.message.body)):
            handle(self.world.service, self.outbox, text)

    def close(self) -> None:
        self.outbox.close()
        self.process.stop()


@pytest.fixture
def asking(tmp_path: Path, broker: Server) -> Iterator[Asking]:
    made = Asking(tmp_path, broker)
    yield made
    made.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    monkeypatch.setattr(module, "DEADLINE_S", 0.2)
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)


def test_a_key_is_made_once_and_asked_for_once_for_each_use_of_it(asking: Asking) -> None:
    made = asking.keys(GENERATE, ENCRYPT, DECRYPT).create(asking.store, DEK, 1, GENERATE)
    assert list(asking.store.list("keys/")) == [dek_name(1)]
    sealing = asking.keys(ENCRYPT, DECRYPT, sealing_epoch=1)
    assert sealing.dek(1).same_as(made)
    assert len(asking.asked) == 1, "to encrypt it is in the cache"
    reading = asking.keys(DECRYPT)
    assert reading.dek(1).same_as(made)
    assert reading.dek(1) is reading.dek(1)
    assert len(asking.asked) == 2, "to decrypt is another use"
    assert (reading.take_calls(), reading.take_calls()) == (1, 0)


def test_what_the_ticket_does_not_allow_is_not_asked_for_and_not_taken_from_the_cache(asking: Asking) -> None:
    asking.keys(GENERATE, ENCRYPT).create(asking.store, DEK, 1, GENERATE)
    with pytest.raises(OutOfScope):
        asking.keys(DECRYPT, sealing_epoch=1).dek(1)
    with pytest.raises(OutOfScope):
        asking.keys().chunk_id_key()
    assert len(asking.asked) == 1


def test_of_two_that_make_the_same_epoch_both_use_the_one_that_is_stored(asking: Asking) -> None:
    first = asking.keys(GENERATE, ENCRYPT).create(asking.store, DEK, 1, GENERATE)
    asking.process.cache.revoke(asking.world.tenant, asking.world.vault)
    with pytest.raises(KeyWiped):
        first.view()
    second = asking.keys(GENERATE, ENCRYPT, DECRYPT).create(asking.store, DEK, 1, GENERATE)
    third = asking.keys(DECRYPT).dek(1)
    assert second.same_as(third)
    assert len(asking.asked) == 4


def test_junk_on_the_list_is_passed_over(asking: Asking) -> None:
    def spoil(request: KeyRequest) -> bool:
        asking.outbox.push_answer(request.reply_to, b"junk")
        return True

    asking.before = spoil
    assert asking.keys(GENERATE).create(asking.store, DEK, 1, GENERATE).view()


def test_the_answer_to_another_request_is_none(asking: Asking, impatient: None) -> None:
    earlier: list[bytes] = []
    answers = asking.outbox.push_answer

    def keep(reply_list: str, reply: bytes) -> None:
        earlier.append(reply)
        answers(reply_list, reply)

    asking.outbox.push_answer = keep  # type: ignore[method-assign]
    asking.keys(GENERATE).create(asking.store, DEK, 1, GENERATE)

    def replay(request: KeyRequest) -> bool:
        answers(request.reply_to, earlier[0])
        return False

    asking.before = replay
    with pytest.raises(KeyBrokerSilent):
        asking.keys(DECRYPT).dek(1)


class Enough(Exception):
    """What ends the waiting of a test."""


def test_a_key_broker_that_is_silent_is_asked_again_and_its_requester_told(
    asking: Asking, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEADLINE_S", 60.0)
    asking.before = lambda _: False
    told: Told = []

    def tell(error: StrongroomError, left_s: float) -> None:
        told.append((error.message, left_s))
        if len(told) == 2:
            raise Enough

    keys = asking.keys(GENERATE)
    keys.on_wait = tell
    with pytest.raises(Enough):
        keys.create(asking.store, DEK, 1, GENERATE)
    assert len(asking.asked) == 2
    assert 0 < told[1][1] < told[0][1] < 60.0


def test_a_key_broker_that_stays_silent_is_given_up(
    asking: Asking, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEADLINE_S", 0.0)
    asking.before = lambda _: False
    with pytest.raises(KeyBrokerSilent) as silent:
        asking.keys(GENERATE).create(asking.store, DEK, 1, GENERATE)
    assert "key-broker.log" in silent.value.remedy
    assert len(asking.asked) == 1


def test_a_key_that_the_customer_has_switched_off_goes_from_the_cache_at_once(asking: Asking) -> None:
    cached = asking.keys(GENERATE, ENCRYPT).create(asking.store, DEK, 1, GENERATE)
    asking.world.keystore.disable("main")
    with pytest.raises(KeyRefused) as refused:
        asking.keys(DECRYPT).dek(1)
    assert refused.value.code in module.SWITCHED_OFF
    with pytest.raises(KeyWiped):
        cached.view()
    assert len(asking.asked) == 2, "it is not asked again"
