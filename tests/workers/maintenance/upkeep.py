"""A maintenance worker's process that does jobs on a real repository, step by step, without Celery."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from config.queues import MAINTENANCE as ROLE
from config.queues import REPORT
from crypto import canonical, notes
from crypto.certificate import ProcessSigned
from crypto.dek_cache import Slot
from crypto.hpke import HpkeKey
from crypto.job import Spec
from crypto.keyrecord import CHUNK_ID, DEK
from crypto.report import DONE, FAILED, PLANNED, Report
from crypto.ticket import DECRYPT, ENCRYPT, FORGET, PRUNE, Ticket, issue
from tests.client.deliveries import now_ms
from tests.repository.conftest import Repo
from tests.workers.one_process import OneProcess
from workers.admission import Job
from workers.keys import Send
from workers.process import Process
from workers.reporting import Reporter

Step = Callable[[Process, Job, Reporter, Send], None]


class Upkeep:
    """Does maintenance jobs in one process."""

    def __init__(self, root: Path, repo: Repo) -> None:
        self.repo = repo
        root.mkdir()
        self.root = root
        self._one = OneProcess(root, ROLE)
        self._process = self._one.process
        self._opening = HpkeKey.generate()
        self.requester = self._opening.public

    def run(
        self,
        step: Step,
        spec: Spec,
        *,
        job: bytes = b"",
        fence: int = 1,
        operations: tuple[str, ...] = (DECRYPT, ENCRYPT, FORGET, PRUNE),
    ) -> dict[str, Any]:
        """Do one step as its task does; returns what its requester is told: the outcome, or `code` of the failure."""
        repo = self.repo
        for operation in (ENCRYPT, DECRYPT):
            for epoch in (1, 2):
                self._process.cache.get(
                    Slot(*repo.vault, DEK, epoch, operation),
                    lambda e=epoch: repo.keys.dek(e),  # type: ignore[misc]
                )
            self._process.cache.get(Slot(*repo.vault, CHUNK_ID, 0, operation), repo.keys.chunk_id_key)
        ticket = Ticket(
            1,
            bytes(16),
            job or os.urandom(16),
            fence,
            *repo.vault,
            ROLE,
            operations,
            b"",
            now_ms(),
            now_ms() + 60_000,
            9,
        )
        admitted = Job(ticket, issue(self._one.scheduler, ticket), b"", spec)
        reports: list[Report] = []

        def send(task: str, *args: object, expires_s: float | None = None) -> None:
            if task == REPORT:
                signed = canonical.decode(ProcessSigned, canonical.from_text(args[0]))
                reports.append(canonical.decode(Report, signed.message.body))

        reporter = Reporter(self._process, admitted, send, lambda _: None)
        with reporter.ending_well():
            step(self._process, admitted, reporter, send)
        (end,) = (each for each in reports if each.kind in (DONE, FAILED, PLANNED))
        return self._told(admitted.id, end)

    def _told(self, job: bytes, end: Report) -> dict[str, Any]:
        if not end.outcome:
            return {"kind": end.kind, "code": end.code}
        signed = canonical.decode(ProcessSigned, end.outcome)
        note = notes.read_note(self._one.registry, signed, job, self._opening, now_ms())
        if isinstance(note, notes.Failure):
            return {"kind": end.kind, **msgspec.structs.asdict(note)}
        assert isinstance(note, notes.Outcome)
        return {"kind": end.kind, **json.loads(note.json)}

    def close(self) -> None:
        self._one.close()
