"""The list of releases, their hashes, and unpacking."""

import hashlib
import tarfile
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.releases import LIST, Offline, Release, fetch, releases, unpack


def packed(folder: Path, name: str, mtime: int, *, wrapped: str = "package-1") -> Path:
    inside = folder / "inside"
    inside.mkdir(parents=True)
    (inside / "file").write_text(name)
    archive = folder / f"{name}.tar.gz"

    def dated(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime = mtime
        return member

    with tarfile.open(archive, "w:gz") as out:
        out.add(inside, wrapped, filter=dated)
    return archive


def test_the_list_has_ten_pinned_releases_of_one_package_in_order() -> None:
    found = releases(LIST.read_text())
    assert len(found) == 10
    assert len({each.sha256 for each in found}) == 10
    assert {len(each.sha256) for each in found} == {64}
    assert len({each.requirement.partition("==")[0] for each in found}) == 1
    versions = [tuple(map(int, each.version.split("."))) for each in found]
    assert versions == sorted(versions)


@pytest.mark.parametrize("line", ["Django==4.2", "Django --hash=sha256:00"])
def test_an_unpinned_release_is_refused(line: str) -> None:
    with pytest.raises(BenchError, match="not a pinned release"):
        releases(line)


def test_a_kept_download_is_used_if_its_hash_is_right(tmp_path: Path) -> None:
    archive = packed(tmp_path / "made", "one", 1_000_000)
    right = Release("package==1", "1", hashlib.sha256(archive.read_bytes()).hexdigest())
    kept = tmp_path / "kept" / "1"
    kept.mkdir(parents=True)
    archive.rename(kept / archive.name)
    assert fetch(right, tmp_path / "kept", lambda _line: None) == kept / archive.name
    with pytest.raises(Offline, match="is not the package==1"):
        fetch(right._replace(sha256="0" * 64), tmp_path / "kept", lambda _line: None)


def test_without_a_network_it_says_what_cannot_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody listens on port 9 of this machine; pip is told to ask nobody else.
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Offline, match="cannot fetch package==1"):
        fetch(Release("package==1", "1", "0" * 64), tmp_path / "kept", lambda _line: None)
    assert not list((tmp_path / "kept").iterdir())


def test_each_release_replaces_the_one_before_and_keeps_its_own_mtimes(tmp_path: Path) -> None:
    first = packed(tmp_path / "a", "one", 1_000_000, wrapped="package-1")
    second = packed(tmp_path / "b", "second", 2_000_000, wrapped="package-2")
    into = tmp_path / "work" / "package"
    into.parent.mkdir()
    assert unpack(first, into) == 3
    (into / "left over").touch()
    assert unpack(second, into) == 6
    assert [path.name for path in into.iterdir()] == ["file"]
    assert (into / "file").read_text() == "second"
    assert (into / "file").stat().st_mtime == 2_000_000
    assert [path.name for path in into.parent.iterdir()] == ["package"]


def test_an_archive_that_is_none_or_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(b"no archive")
    outside = packed(tmp_path / "c", "evil", 1, wrapped="../evil")
    for archive in (bad, outside):
        with pytest.raises(BenchError, match="cannot unpack"):
            unpack(archive, tmp_path / "package")
    assert not (tmp_path.parent / "evil").exists()
