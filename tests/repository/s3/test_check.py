"""A check of a repository in a bucket: what it finds by listings, and how few requests that takes."""

import random

import pytest

from repository import layout
from repository.check import check
from repository.measure import Meter
from repository.stores import open_pruner
from tests.repository.conftest import Repo
from tests.s3_server import BUCKET, S3Server

PACKS = 12


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def vault(repo: Repo, s3: S3Server, prefix: str, meter: Meter) -> Repo:
    """Packs of different sizes, in a bucket."""
    for number in range(PACKS):
        data = random.Random(number).randbytes(3000 + number % 3 * 40_000)
        repo.backup({b"/%d" % number: data}, number)
    store = open_pruner(s3.uri(prefix), meter=meter)
    for name in repo.stored(""):
        store.put(name, [(repo.folder / name).read_bytes()])
    repo.store = store  # type: ignore[assignment]
    return repo


def test_the_sizes_of_packs_cost_no_request_each(vault: Repo, meter: Meter) -> None:
    report = check(vault.subject, vault.room)
    sizes = {path: path.stat().st_size for path in (vault.folder / "packs").rglob("*") if path.is_file()}
    assert (report.found, report.packs, report.pack_bytes) == (0, PACKS, sum(sizes.values()))
    asked = meter.read()
    assert "size" not in asked
    assert asked["list"].operations < PACKS


def test_what_is_cut_short_removed_or_astray_is_named(vault: Repo, s3: S3Server, prefix: str) -> None:
    short, gone, *_ = vault.stored(layout.PACKS)
    data = (vault.folder / short).read_bytes()
    s3.client().put_object(Bucket=BUCKET, Key=f"{prefix}/{short}", Body=data[:-1])
    vault.store.delete(gone)
    astray = f"packs/zz/{'ab' * 16}"
    vault.store.put(astray, [b"x"])
    report = check(vault.subject, vault.room)
    assert {problem.object for problem in report.problems} == {short, gone, astray}
    assert len(report.losses) == 2
    told = next(problem.text for problem in report.problems if problem.object == short)
    assert str(len(data) - 1) in told
