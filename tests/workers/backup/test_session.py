"""A backup's session: what it reads, what it must not read, and what it still holds true of the repository."""

import os
import random

import pytest

from config.errors import StrongroomError
from crypto import job
from repository.errors import StoreMissing
from repository.layout import plan_name, snapshot_name
from sources.filesystem.files import FileSource
from tests.workers.backup.conftest import Writing
from workers.backup.session import BackupSession, WrongSpec


def test_only_a_new_vault_may_make_its_folder(writing: Writing) -> None:
    nowhere = writing.root_of("none")
    spec = job.BackupSpec(nowhere.as_uri(), writing.requester, (b"/",), (), (), "host")
    with pytest.raises(StoreMissing):
        writing.session(spec)
    assert not nowhere.exists()
    writing.session(writing.init(nowhere))
    assert nowhere.is_dir()


def test_a_job_of_another_kind_has_nothing_to_back_up(writing: Writing) -> None:
    with pytest.raises(WrongSpec):
        writing.session(job.CheckSpec(writing.repo.folder.as_uri(), writing.requester, False))
    with pytest.raises(WrongSpec):
        writing.session(writing.init(writing.root_of("new"))).source()


def test_paths_of_two_kinds_are_refused(writing: Writing) -> None:
    assert isinstance(writing.session().source(), FileSource)
    with pytest.raises(StrongroomError) as refused:
        writing.session(writing.backup(b"/etc", b"s3://bucket/prefix")).source()
    assert refused.value.message


@pytest.mark.parametrize(
    ("snapshot", "plan", "over"),
    [(False, False, False), (False, True, False), (True, True, False), (True, False, True)],
)
def test_a_job_is_over_when_its_snapshot_is_there_and_its_work_is_tidied(
    writing: Writing, snapshot: bool, plan: bool, over: bool
) -> None:
    session = writing.session()
    for there, name in ((snapshot, snapshot_name(session.job.id)), (plan, plan_name(session.job.id))):
        if there:
            writing.repo.store.put(name, [b"x"])
    assert session.is_over() is over


def chunk_of(writing: Writing, seed: int, *, publish: bool) -> bytes:
    _, packs = writing.repo.segment({b"/a": random.Random(seed).randbytes(500)})
    if publish:
        writing.repo.publish(packs)
    return packs[0].records[:32]


def test_what_only_another_job_knew_is_forgotten_with_it(writing: Writing) -> None:
    session = writing.session()
    _, (pack,) = writing.repo.segment({b"/a": b"data"})
    session.index().add_pack(pack)
    assert session.index().knows_pack(pack.id)
    assert not writing.session().index().knows_pack(pack.id)


def test_the_first_step_of_a_job_looks_for_what_is_new(writing: Writing) -> None:
    session = writing.session()
    session.index()
    late = chunk_of(writing, 2, publish=True)
    assert not session.index().contains(late), "within a job it looks every now and then only"
    assert writing.session().index().contains(late)


def test_a_process_keeps_the_sizes_of_its_job_and_its_buffers(writing: Writing) -> None:
    session: BackupSession = writing.session()
    assert writing.own.scratch() is writing.own.scratch()
    assert session.chunker().sizes == writing.session().chunker().sizes
    assert os.fsencode(writing.source) in session.spec.paths
