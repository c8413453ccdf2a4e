"""A backup worker with a real repository and broker, whose steps a test calls one by one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.queues import BACKUP
from crypto.job import BackupSpec, InitSpec, Spec
from crypto.ticket import COMMIT, DECRYPT, ENCRYPT
from tests.repository.conftest import Repo, repo
from tests.workers.broker_server import Server
from tests.workers.working import Working
from workers.backup.session import BackupProcess, BackupSession

__all__ = ["repo"]


class Writing(Working):
    """Opens sessions that back up the folder `source`."""

    def __init__(self, root: Path, server: Server, repo: Repo) -> None:
        super().__init__(root, server, BACKUP)
        self.repo = repo
        self.root = root
        self.hold(repo, DECRYPT, ENCRYPT)
        self.source = root / "source"
        self.source.mkdir()
        self.own = BackupProcess(self.process)

    def root_of(self, name: str) -> Path:
        """Where another repository may be."""
        return self.root / name

    def backup(self, *paths: bytes) -> BackupSpec:
        uri = self.repo.folder.as_uri()
        return BackupSpec(uri, self.requester, paths or (os.fsencode(self.source),), (), (), "host")

    def init(self, folder: Path) -> InitSpec:
        return InitSpec(folder.as_uri(), self.requester)

    def session(self, spec: Spec | None = None, **ticket: object) -> BackupSession:
        allowed = {"operations": (DECRYPT, ENCRYPT, COMMIT), **ticket}
        return BackupSession(self.own, self.job(spec or self.backup(), **allowed), self.send)


@pytest.fixture
def writing(tmp_path: Path, broker: Server, repo: Repo) -> Iterator[Writing]:
    made = Writing(tmp_path / "writing", broker, repo)
    yield made
    made.own.stop()
