"""Many manifests, each stored object read once, and each still the one that its reference names."""

import random

import msgspec
import pytest

from repository.errors import FormatError
from repository.layout import manifest_name
from repository.manifest import ManifestRef
from repository.measure import MeasuredReader, Meter
from repository.patch import MAX_DEPTH
from repository.remembered import ManifestReader, by_lineage, once_ahead
from tests.repository.conftest import Repo, repo
from tests.repository.test_patch import Chain

__all__ = ["repo"]


class Counting(MeasuredReader):
    """Notes every object that is fetched, by whichever thread."""

    def __init__(self, repo: Repo) -> None:
        super().__init__(repo.store, Meter())
        self.fetched: list[str] = []

    def get(self, name: str, limit: int) -> bytes:
        self.fetched.append(name)
        return super().get(name, limit)


@pytest.fixture
def chained(repo: Repo) -> Chain:
    made = Chain(repo)
    for number in range(1, MAX_DEPTH + 1):
        made.patch(b"/%d" % number)
    return made


def reader_of(chained: Chain, store: MeasuredReader) -> ManifestReader:
    return ManifestReader(store, chained.repo.vault, chained.repo.keys)


def test_each_object_is_read_once_in_the_order_of_lineages(chained: Chain) -> None:
    refs: list[ManifestRef] = [*chained.refs, *chained.refs]
    random.Random(1).shuffle(refs)
    counting = Counting(chained.repo)
    with once_ahead(counting, by_lineage(refs)) as store:
        reader = ManifestReader(store, chained.repo.vault, chained.repo.keys)
        found = {ref.id: reader.read(ref) for ref in by_lineage(refs)}
    assert sorted(counting.fetched) == sorted(manifest_name(ref.id) for ref in chained.refs)
    for number, ref in enumerate(chained.refs):
        assert found[ref.id] == chained.read(number)


def test_bases_that_nobody_asked_for_are_read_once_too(chained: Chain) -> None:
    counting = Counting(chained.repo)
    reader = reader_of(chained, counting)
    for ref in by_lineage([chained.refs[-1], chained.refs[2]]):
        reader.read(ref)
    assert len(counting.fetched) == len(set(counting.fetched)) == MAX_DEPTH + 1


def test_what_a_patch_left_is_the_same_object(chained: Chain) -> None:
    reader = reader_of(chained, Counting(chained.repo))
    whole, patched = reader.read(chained.refs[0]), reader.read(chained.refs[-1])
    assert [
        entry for entry in patched.entries if any(entry is other for other in whole.entries)
    ] == whole.entries


def test_what_is_remembered_is_held_against_its_reference(chained: Chain) -> None:
    reader = reader_of(chained, Counting(chained.repo))
    reader.read(chained.refs[-1])
    for change in ({"files": 99}, {"digest": bytes(32)}, {"last": b"/zz"}):
        with pytest.raises(FormatError):
            reader.read(msgspec.structs.replace(chained.refs[-1], **change))
