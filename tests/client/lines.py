"""Answers in JSON lines out of real parcels, and a worker of a scripted world that sends them."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from client.answer import Answer, Line
from client.delivery import parcel_name
from client.restore.parcels import ParcelOpener
from config.settings import StoreSettings
from crypto import job as jobs
from crypto import notes
from crypto.job import JobRequest
from crypto.parcel import write_parcel
from tests.client.deliveries import ParcelMaker, Worker, now_ms
from tests.client.scripted import World


def packed(lines: Iterable[Line]) -> bytes:
    return b"\n".join(json.dumps(line).encode() for line in lines)


def answer_of(root: Path, *listings: bytes, outcome: Line | None = None) -> Answer:
    """What a worker has delivered in as many parcels."""
    worker = Worker(root)
    for sequence, listing in enumerate(listings):
        worker.deliver(0, sequence, ParcelMaker(listing=listing))
    parcels = ParcelOpener(worker.registry, worker.opening, worker.job, worker.area.as_uri(), StoreSettings())
    heard = dict.fromkeys(range(len(listings)), now_ms())
    return Answer(outcome or {}, parcels, heard, len(listings))


def deliver_lines(
    world: World, request: JobRequest, listings: Sequence[bytes], *, whole: bool = True, named: bool = True
) -> None:
    """Do a job that answers in lines; `named`: whether each parcel is told of, `whole`: whether their end is."""
    spec = world.spec(request)
    assert isinstance(spec, jobs.ListSpec | jobs.FindSpec | jobs.DiffSpec)
    area = Path(spec.delivery.removeprefix("file://"))
    world.verdict(request, "queued")
    world.note(request, notes.Restoring(bytes(16), 1, 5))
    for sequence, listing in enumerate(listings):
        table = ParcelMaker(listing=listing).table()
        parts = write_parcel(world.keys, spec.requester, request.job, 0, sequence, table, [])
        (area / parcel_name(request.job, 0, sequence)).write_bytes(b"".join(parts))
        if named:
            world.note(request, notes.Parcel(0, sequence, 1))
    if whole:
        world.note(request, notes.SegmentDone(0, len(listings), ()))
    world.verdict(request, "done", outcome=notes.Outcome(b'{"n": 1}', ()))
