"""Ten releases of one large package, as its authors published them: fetched by pip, hashes compared."""

import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError
from bench.processes import run

LIST = Path(__file__).with_name("releases.txt")
"""Requirements with hashes, oldest release first."""


class Release(NamedTuple):
    """One line of the list: what is asked for, the version, and the SHA-256 of the source distribution."""

    requirement: str
    version: str
    sha256: str


class Offline(BenchError):
    """A release could not be fetched."""


def releases(text: str) -> list[Release]:
    """Read the list.

    Raises:
        BenchError: a line is not `NAME==VERSION --hash=sha256:DIGEST`.
    """
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        requirement, _, digest = line.partition(" --hash=sha256:")
        _name, _, version = requirement.partition("==")
        if not version or not digest:
            raise BenchError(f"not a pinned release: {line}")
        found.append(Release(requirement, version, digest))
    return found


def fetch(release: Release, folder: Path, say: Callable[[str], None]) -> Path:
    """The source distribution of a release below `folder`, fetched unless it is there already.

    pip compares the hash when it fetches; a file that was there is compared by it, too.

    Raises:
        Offline: pip cannot fetch it, or its hash differs.
    """
    place = folder / release.version
    place.mkdir(parents=True, exist_ok=True)
    if not any(place.iterdir()):
        say(f"fetching {release.requirement}")
        _download(release, place)
    (found,) = place.iterdir()
    _check(found, release)
    return found


def unpack(archive: Path, folder: Path) -> int:
    """Replace `folder` by what is in the archive's one top folder, mtimes as in the archive; returns bytes.

    Raises:
        BenchError: the archive is damaged, or would write elsewhere.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(beside, filter="data")
        except tarfile.TarError as error:
            raise BenchError(f"cannot unpack {archive.name}: {error}") from error
        (top,) = Path(beside).iterdir()
        top.rename(folder)
    return sum(os.lstat(path).st_size for path in folder.rglob("*") if path.is_file())


def _download(release: Release, place: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        wanted.write(f"{release.requirement} --hash=sha256:{release.sha256}\n")
        wanted.flush()
        quietly = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
        sources = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
        command = [sys.executable, "-m", "pip", "download", *quietly, *sources, "--dest", str(place)]
        try:
            run([*command, "--requirement", wanted.name])
        except BenchError as error:
            shutil.rmtree(place)
            raise Offline(f"pip cannot fetch {release.requirement}: {error}") from error


def _check(archive: Path, release: Release) -> None:
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != release.sha256:
        raise Offline(
            f"{archive.name} is not the {release.requirement} of the list; remove it from --downloads"
        )
