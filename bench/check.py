"""Measure `check` and the search for what has to stay locked: `python -m bench.check --entries 3000000`.

A repository with that many chunks is made below --dir: real index objects, manifests and a snapshot, and packs that are
holes of the right size, so that nothing is measured but the comparison. Each step runs in a process of its own.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.errors import BenchError
from bench.index import CHUNK, Numbers, Vault, apart, chunk_id, memory, packs_of
from crypto.keyrecord import CHUNK_ID, DEK, KeyRecord
from repository.catalog import write_manifest, write_snapshot
from repository.census import IN_MEMORY
from repository.check import check
from repository.layout import pack_name, segment_id
from repository.manifest import Entry, Manifest, ManifestRef, Snapshot
from repository.needed import needed
from repository.usage import Subject
from repository.vault import new_config, write_config, write_key_record
from repository.walk import Walk

A_MANIFEST = 1024
"""Chunks of a manifest."""


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _options(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="strongroom-bench-", dir=options.dir) as folder:
            print(json.dumps(measure(Path(folder), options.entries), indent=1))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def measure(folder: Path, entries: int, in_memory: int = IN_MEMORY) -> dict[str, object]:
    """All steps, one process after the other; by step, what it took, and bytes of memory beyond those at its begin."""
    vault = Vault(folder, entries)
    scratch = folder / "scratch"
    made = apart(lambda: _fill(vault, folder / "repository"))
    return {
        "entries": entries,
        "fill": made,
        "check": apart(lambda: _grown(lambda: _check(vault, scratch, in_memory))),
        "extend": apart(lambda: _grown(lambda: _needed(vault, scratch, in_memory))),
    }


def _fill(vault: Vault, folder: Path) -> Numbers:
    for purpose, epoch in ((CHUNK_ID, 0), (DEK, 1)):
        write_key_record(vault.store, KeyRecord(1, *vault.id, purpose, epoch, "cmk", "", b"wrapped", 0))
    write_config(vault.store, vault.id, vault.keys.dek(1), new_config(1))
    vault.fill()
    for pack in packs_of(0, vault.entries):
        path = folder / pack_name(pack.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(pack.size)
    write_snapshot(vault.store, vault.id, vault.keys, 1, _snapshot(list(_manifests(vault))))
    return {}


def _manifests(vault: Vault) -> Iterator[ManifestRef]:
    for number, first in enumerate(range(0, vault.entries, A_MANIFEST)):
        count = min(A_MANIFEST, vault.entries - first)
        ids = b"".join(chunk_id(each) for each in range(first, first + count))
        extents = [value for each in range(count) for value in (each, 0, CHUNK)]
        path = b"/big/file-%09d" % number
        entry = Entry(path, "f", count * CHUNK, b"stamp", b"meta", extents, bytes(32))
        manifest = Manifest([entry], ids, [CHUNK] * count)
        yield write_manifest(vault.store, vault.id, vault.keys, 1, segment_id(b"M" * 16, 1, number), manifest)


def _snapshot(refs: list[ManifestRef]) -> Snapshot:
    totals = (sum(ref.files for ref in refs), 0, sum(ref.bytes for ref in refs))
    return Snapshot(b"S" * 16, 1, "host", [b"/big"], [], [], b"", refs, *totals, [])


def _check(vault: Vault, scratch: Path, in_memory: int) -> Numbers:
    wall, cpu = time.perf_counter(), time.process_time()
    found = check(Subject(vault.store, vault.id, vault.keys), scratch, in_memory=in_memory)
    if found.problems or found.chunks != vault.entries:
        raise BenchError(f"check found {len(found.problems)} problems, {found.chunks} chunks")
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def _needed(vault: Vault, scratch: Path, in_memory: int) -> Numbers:
    wall, cpu = time.perf_counter(), time.process_time()
    with needed(Subject(vault.store, vault.id, vault.keys), scratch, Walk(), in_memory) as found:
        count = sum(1 for _ in found.names)
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "names": count}


def _grown(work: Callable[[], Numbers]) -> Numbers:
    """What `work` returns, and how much more memory than at its begin it has had at once."""
    begun = memory()["peak"]
    found = work()
    return {**found, "grown": memory()["peak"] - begun}


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.check", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--entries", type=int, default=3_000_000, metavar="N", help="chunks in the repository"
    )
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="where all of it lies")  # noqa: S108
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
