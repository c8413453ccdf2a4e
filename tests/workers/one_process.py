"""One worker's process, in its own home, on a real broker: what it is told to do it does here, without Celery."""

import os
from pathlib import Path

from config.home import Home
from config.settings import Settings
from crypto.identity import Identity
from crypto.registry import SCHEDULER, Registry
from tests.client.deliveries import enrolled
from workers.process import Process
from workers.role import RoleContext
from workers.stack.passwords import Passwords
from workers.stack.valkey import Valkey


class OneProcess:
    """A process of `role` below the folder `root`, with a broker of its own.

    Attributes:
        process: started.
        registry: knows the process's identity and nothing else.
        scheduler: signs tickets; who believes it is the test's to say.
    """

    def __init__(self, root: Path, role: str) -> None:
        home = Home(root / "home")
        home.create()
        self._valkey = Valkey(root, root / "valkey.log")
        passwords = Passwords([role])
        self._valkey.configure(passwords)
        self._pid = self._valkey.start()
        self._valkey.wait(self._pid)
        worker, self.scheduler = Identity.generate(role), Identity.generate(SCHEDULER)
        (home.identities / role).write_bytes(worker.encode())
        self.registry = Registry().with_identity(enrolled(worker, role))
        home.registry_file.write_bytes(self.registry.encode())
        url = self._valkey.url(role, passwords[role])
        self.process = Process(RoleContext(role, home, Settings(), url, lambda: None, one_shot=True))
        self.process.start()

    def close(self) -> None:
        self.process.stop()
        os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)
