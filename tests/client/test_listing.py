"""Listings of snapshots and entries, and questions to the scheduler."""

import pytest

from client.answer import ListingDamaged
from client.listing import ask, list_entries, list_snapshots, path_of
from crypto import job as jobs
from crypto import notes
from crypto.job import JobRequest
from tests.client.lines import deliver_lines, packed
from tests.client.scripted import World


def test_snapshots_are_asked_for_without_a_snapshot(world: World) -> None:
    wanted = jobs.SnapshotFilter(("web1",), (), ())
    lines = [{"id": "ab"}, {"id": "cd", "error": "damaged"}]
    with world.serving(lambda request: deliver_lines(world, request, [packed(lines)])):
        assert list_snapshots(world.session, world.vault, wanted) == lines
    spec = world.spec(world.heard[0])
    assert isinstance(spec, jobs.ListSpec)
    assert (spec.snapshot, spec.path, spec.filter) == ("", b"", wanted)


def test_entries_are_asked_for_below_a_path(world: World) -> None:
    lines = [{"path": "/a/caf\udce9"}]
    with world.serving(lambda request: deliver_lines(world, request, [packed(lines)])):
        (found,) = list_entries(world.session, world.vault, "latest", b"/a")
    assert path_of(found) == b"/a/caf\xe9"
    spec = world.spec(world.heard[0])
    assert isinstance(spec, jobs.ListSpec)
    assert (spec.snapshot, spec.path) == ("latest", b"/a")


def sealed(world: World, request: JobRequest, answer: bytes) -> bytes:
    return notes.seal_answer(world.spec(request).requester, request.job, answer)


@pytest.mark.parametrize("answer", [b"", b"{", b"{}", b"1", b"[1]", b'[{}, "x"]'])
def test_an_answer_that_is_no_list_of_objects_is_refused(world: World, answer: bytes) -> None:
    with (
        world.serving(lambda request: world.verdict(request, "done", outcome=sealed(world, request, answer))),
        pytest.raises(ListingDamaged) as refused,
    ):
        ask(world.session, "jobs")
    assert refused.value.remedy
