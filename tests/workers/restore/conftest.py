"""A restore worker with a real repository, broker and delivery area, and whoever asked for what it delivers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.delivery import ParcelReader
from config.queues import RESTORE
from crypto.job import DiffSpec, FindSpec, ListSpec, RestoreSpec, Spec
from crypto.parcel import read_parcel
from crypto.ticket import DECRYPT
from tests.client.deliveries import meta, now_ms
from tests.repository.conftest import Repo, repo
from tests.workers.broker_server import Server
from tests.workers.working import Working
from workers.restore.session import RestoreProcess, RestoreSession

__all__ = ["repo"]


class Reading(Working):
    """Opens sessions on the repository, and reads what they deliver."""

    def __init__(self, root: Path, server: Server, repo: Repo) -> None:
        super().__init__(root, server, RESTORE)
        self.repo = repo
        repo.meta = meta("f")
        self.hold(repo, DECRYPT)
        self.own = RestoreProcess(self.process)
        self.area = self.home.delivery.as_uri()

    def restore(self, snapshot: str = "latest", path: bytes = b"", **more: Any) -> RestoreSpec:
        uri = self.repo.folder.as_uri()
        return RestoreSpec(uri, self.requester, snapshot, path, (), (), more.pop("area", self.area), **more)

    def listing(self, snapshot: str = "", path: bytes = b"") -> ListSpec:
        return ListSpec(self.repo.folder.as_uri(), self.requester, snapshot, path, self.area)

    def search(self, pattern: str = "*") -> FindSpec:
        return FindSpec(self.repo.folder.as_uri(), self.requester, (pattern,), False, (), self.area)

    def comparison(self, first: str, second: str, path: bytes = b"", *, metadata: bool = False) -> DiffSpec:
        uri = self.repo.folder.as_uri()
        return DiffSpec(uri, self.requester, first, second, path, metadata, self.area)

    def session(self, spec: Spec, **ticket: object) -> RestoreSession:
        return RestoreSession(self.own, self.job(spec, **ticket), self.send)

    def lines(self, session: RestoreSession, parcels: int = 1) -> list[dict[str, Any]]:
        """The lines of an answer's parcels."""
        reader, job = ParcelReader(self.area, session.job.id), session.job.id
        found = []
        for number in range(parcels):
            sealed = reader.read(0, number)
            table = read_parcel(self.registry, sealed, job, 0, number, self.opening, now_ms()).table
            found += [json.loads(line) for line in table.listing.splitlines()]
        return found


@pytest.fixture
def reading(tmp_path: Path, broker: Server, repo: Repo) -> Iterator[Reading]:
    made = Reading(tmp_path / "reading", broker, repo)
    yield made
    made.own.stop()
