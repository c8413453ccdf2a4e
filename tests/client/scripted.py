"""A broker that is real and a scheduler that follows a script, for tests of the command's side of a job."""

import base64
import json
import os
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from client.broker import Mailbox, Publisher
from client.installation import Installation
from client.session import Session
from config import queues
from config.home import Home
from config.settings import Settings
from crypto import canonical, notes, signing
from crypto import job as jobs
from crypto.certificate import ProcessKeys
from crypto.identity import Identity
from crypto.job import JobRequest
from crypto.registry import OPERATOR, RESTORE, SCHEDULER, Registry, VaultEntry
from crypto.signing import Domain, Signed
from tests.client.deliveries import enrolled, now_ms
from workers.stack.passwords import Passwords
from workers.stack.valkey import Valkey

ADMIN = "user admin reset on nopass ~* &* +@all\n"


class Server:
    """A real valkey-server with the client's user and an administrator; may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._valkey = Valkey(folder, folder / "valkey.log")
        passwords = Passwords([queues.CLIENT])
        self._valkey.configure(passwords, extra_acl=ADMIN)
        self.socket = self._valkey.socket
        self.url = self._valkey.url(queues.CLIENT, passwords[queues.CLIENT])
        self._pid = 0

    def start(self) -> None:
        self._pid = self._valkey.start()
        self._valkey.wait(self._pid)

    def stop(self) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def admin(self) -> Any:
        return redis.Redis.from_url(f"unix://admin@{self._valkey.socket}?protocol=2")


class World:
    """Identities, a vault, a session; `heard` has every request that the scheduler was sent."""

    def __init__(self, root: Path, server: Server) -> None:
        self.server = server
        self.scheduler, self.worker = Identity.generate(SCHEDULER), Identity.generate(RESTORE)
        self.keys = ProcessKeys(self.worker, RESTORE, now_ms())
        operator = Identity.generate(OPERATOR)
        self.vault = VaultEntry(bytes(16), bytes(16), "v", "file:///nowhere", "local-kms://v")
        registry = Registry(vaults=(self.vault,))
        for identity in (self.scheduler, self.worker, operator):
            registry = registry.with_identity(enrolled(identity, identity.name))
        home = Home(root / "home")
        home.create()
        self.registry = registry
        installation = Installation(home, Settings(), registry, operator)
        publisher = Publisher(server.url, Settings())
        self.session = Session(installation, Mailbox(server.url, Settings()), publisher, None, server.url)
        self.heard: list[JobRequest] = []

    def request(self, item: bytes) -> JobRequest:
        """What a message of the scheduler's queue carries, verified as the scheduler does."""
        frame = json.loads(item)
        body = json.loads(base64.b64decode(frame["body"]))
        assert frame["headers"]["task"] == queues.SUBMIT
        assert frame["headers"]["argsrepr"] == "sealed"
        signed = canonical.decode(Signed, canonical.from_text(body[0][0]))
        public = self.registry.identity(signed.signer).sign_public
        return signing.verify(public, Domain.JOB_REQUEST, signed, JobRequest)

    def spec(self, request: JobRequest) -> jobs.Spec:
        return jobs.open_spec(self.scheduler, request.job, request.spec)

    def push(self, job: bytes, letter: notes.Letter | bytes) -> None:
        data = letter if isinstance(letter, bytes) else canonical.encode(letter)
        with self.server.admin() as admin:
            admin.rpush(queues.notes_list(job), data)

    def note(self, request: JobRequest, note: notes.Note) -> None:
        """A worker's note to whoever made the request."""
        requester = self.spec(request).requester
        self.push(
            request.job,
            notes.Letter(notes.write_note(self.keys, RESTORE, request.job, requester, note), None),
        )

    def verdict(self, request: JobRequest, state: str, **more: object) -> None:
        """A verdict of the scheduler; `outcome` may be a note, which is sealed first."""
        outcome = more.pop("outcome", b"")
        if not isinstance(outcome, bytes):
            requester = self.spec(request).requester
            outcome = canonical.encode(
                notes.write_note(self.keys, RESTORE, request.job, requester, outcome)  # type: ignore[arg-type]
            )
        values = {"code": "", "message": "", "remedy": "", "kms_calls": 0, "attempts": 1, **more}
        verdict = notes.Verdict(job=request.job, state=state, outcome=outcome, **values)  # type: ignore[arg-type]
        self.push(request.job, notes.Letter(None, notes.write_verdict(self.scheduler, verdict)))

    @contextmanager
    def serving(self, answer: Callable[[JobRequest], None]) -> Iterator[None]:
        """Call `answer` with each request that arrives while the block runs; what it raises fails the test."""
        stop = threading.Event()
        trouble: queue.Queue[Exception] = queue.Queue()

        def serve() -> None:
            while not stop.is_set():
                try:
                    with self.server.admin() as admin:
                        item = admin.brpop([queues.SCHEDULER_QUEUE], timeout=0.05)
                    if item is not None:
                        self.heard.append(self.request(item[1]))
                        answer(self.heard[-1])
                except redis.ConnectionError:
                    time.sleep(0.02)  # the test has stopped the server
                except Exception as error:  # noqa: BLE001 - told to the test
                    trouble.put(error)
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            if not trouble.empty():
                raise trouble.get()


@contextmanager
def running_server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="client-") as folder:
        server = Server(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
