"""Measure the index that a host shares on disk beside the one in memory: `python -m bench.index --entries 10000000`.

A repository with sealed index objects of that many chunks is made below --dir, then each step runs in a process of its
own, so that its memory is its own. Nothing but the index is measured: there are no packs.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from blake3 import blake3

from bench.errors import BenchError
from bench.machine import file_system, machine
from crypto.sealing import sealed_length
from crypto.secret import SecretKey
from repository.access import VaultId
from repository.cache.index import HostIndex
from repository.compression import RAW
from repository.directory import DirectoryWriter
from repository.index import ChunkIndex, Index, write_indexes
from repository.manifest import PackSummary
from repository.pack import GRAIN, RECORD

RESULTS = Path(__file__).parent / "results"
A_PACK = 64
"""Chunks of a pack: of a MiB each, as the chunker cuts them."""
AN_OBJECT = 4096 * A_PACK
A_BACKUP = 8192
"""Chunks that one more backup adds."""
CHUNK = 1 << 20
PETABYTE = 10**15

Numbers = dict[str, float]


class OneKey:
    """A key ring for a vault with one key for everything."""

    def __init__(self) -> None:
        self._key = SecretKey.generate()

    def dek(self, epoch: int) -> SecretKey:
        """The one key."""
        return self._key

    def chunk_id_key(self) -> SecretKey:
        """The one key."""
        return self._key


class Vault:
    """A repository of index objects.

    Args:
        folder: empty; the repository and the cache go there.
        entries: chunks that its index objects name.
    """

    def __init__(self, folder: Path, entries: int) -> None:
        self.entries = entries
        self.id = VaultId(b"T" * 16, b"V" * 16)
        self.store = DirectoryWriter(folder / "repository", create=True)
        self.keys = OneKey()
        self.cache = folder / "cache"

    def fill(self) -> Numbers:
        """Write the index objects."""
        for first in range(0, self.entries, AN_OBJECT):
            self.publish(first, min(AN_OBJECT, self.entries - first))
        return {}

    def publish(self, first: int, count: int) -> None:
        """Write the index objects of `count` chunks from number `first` on."""
        job = blake3(first.to_bytes(8, "big")).digest(16)
        write_indexes(self.store, self.id, self.keys, 1, job, 1, list(packs_of(first, count)))

    def refreshed(self, index: ChunkIndex) -> Numbers:
        """Refresh the index; seconds of wall and of processor time."""
        wall, cpu = time.perf_counter(), time.process_time()
        index.refresh(self.store, self.id, self.keys)
        return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}

    def cache_size(self) -> int:
        """Bytes of the shared index on the disk."""
        (data,) = self.cache.glob("*/data.mdb")
        return data.stat().st_size

    def host_index(self) -> HostIndex:
        """The shared one, as a new process opens it."""
        return HostIndex(self.cache, self.id)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _options(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="strongroom-bench-", dir=options.dir) as folder:
            found = measure(Path(folder), options.entries, options.lookups, in_memory=options.memory)
            found["machine"] = {**machine(), "file_system": file_system(Path(folder))}
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "index.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.results / "index.md").write_text(markdown(found))
    print(markdown(found))
    return 0


def measure(folder: Path, entries: int, lookups: int, *, in_memory: bool) -> dict[str, object]:
    """All steps, one process after the other; by step, what it took."""
    vault = Vault(folder, entries)
    steps: dict[str, Callable[[], Numbers]] = {
        "fill": vault.fill,
        "build": lambda: {**vault.refreshed(vault.host_index()), "bytes": vault.cache_size()},
        "open": lambda: vault.refreshed(vault.host_index()),
        "lookups": lambda: _lookups(vault, vault.host_index(), lookups),
        "one more backup": lambda: _learn(vault),
    }
    if in_memory:
        steps["memory: load"] = lambda: vault.refreshed(Index())
        steps["memory: lookups"] = lambda: _lookups(vault, Index(), lookups)
    found: dict[str, object] = {name: apart(work) for name, work in steps.items()}
    return {"entries": entries, "asked": lookups, **found}


def markdown(found: dict[str, object]) -> str:
    """The report for people."""
    on, entries, size = _part(found, "machine"), int(str(found["entries"])), _part(found, "build")["bytes"]
    grown = _part(found, "one more backup")["bytes"]
    chunks = PETABYTE // CHUNK
    where = (
        f"{on['processor']}, {on['cores']} cores, {on['memory']}; Python {on['python']}; commit {on['commit']}; "
        f"{on['file_system']}. {entries:,} chunks, {size / entries:.1f} bytes each on the disk when it is built, "
        f"{grown / (entries + A_BACKUP):.1f} after one more backup of {A_BACKUP:,} chunks. Each step runs in a process "
        "of its own. Lookups are counted per second of processor time."
    )
    lines = [
        "# The chunk index, measured",
        "",
        where,
        "",
        "| step | wall | processor | private memory at the end | peak memory, mapped pages and all |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in ("build", "open", "one more backup", "memory: load"):
        if name in found:
            step = _part(found, name)
            cost = f"{step['wall_s']:.2f} s | {step['cpu_s']:.2f} s"
            lines.append(f"| {name} | {cost} | {_mb(step['private'])} | {_mb(step['peak'])} |")
    lines += [
        "",
        "| lookups a second | hits | misses | places | peak memory |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in ("lookups", "memory: lookups"):
        if name in found:
            step = _part(found, name)
            rates = " | ".join(f"{step[kind]:,.0f}" for kind in ("hits", "misses", "places"))
            lines.append(
                f"| {'in memory' if 'memory' in name else 'on disk'} | {rates} | {_mb(step['peak'])} |"
            )
    petabyte = f"{chunks / 1e6:,.0f} million chunks, {chunks * size / entries / 1e9:,.0f} GB of cache"
    lines += ["", f"A petabyte in chunks of {CHUNK >> 20} MiB: {petabyte} at this density."]
    return "\n".join(lines) + "\n"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.index", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--entries", type=int, default=10_000_000, metavar="N", help="chunks in the index")
    parser.add_argument("--lookups", type=int, default=200_000, metavar="N", help="of each kind")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="not the index in memory")
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="where all of it lies")  # noqa: S108
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER", help="where the table goes"
    )
    options = parser.parse_args(arguments)
    if options.entries < A_PACK or options.lookups < 1:
        parser.error(f"--entries is at least {A_PACK}, --lookups at least 1")
    return options


def _lookups(vault: Vault, index: ChunkIndex, count: int) -> Numbers:
    index.refresh(vault.store, vault.id, vault.keys)
    dice = random.Random(1)  # noqa: S311 - which chunks are asked for is no secret
    hits = [chunk_id(dice.randrange(vault.entries)) for _ in range(count)]
    misses = [chunk_id(-1 - number) for number in range(count)]
    rates = {}
    for name, ids, ask in (
        ("misses", misses, index.contains),
        ("hits", hits, index.contains),
        ("places", hits, index.locate),
    ):
        begun = time.process_time()
        found = sum(1 for each in ids if ask(each))
        rates[name] = count / (time.process_time() - begun)
        if found != (0 if name == "misses" else count):
            raise BenchError(f"of {count} {name} {found} were found")
    return rates


def _learn(vault: Vault) -> Numbers:
    vault.publish(vault.entries, A_BACKUP)
    return {**vault.refreshed(vault.host_index()), "bytes": vault.cache_size()}


def packs_of(first: int, count: int) -> Iterator[PackSummary]:
    """Tables of full packs that hold `count` chunks, from number `first` on."""
    for number in range(first, first + count, A_PACK):
        at, records = 62, []
        for each in range(number, min(number + A_PACK, first + count)):
            records.append(RECORD.pack(chunk_id(each), at, sealed_length(CHUNK), CHUNK, RAW))
            at += sealed_length(CHUNK)
        pack_id = blake3(number.to_bytes(8, "big")).digest(16)
        yield PackSummary(pack_id, 1, (at // GRAIN + 2) * GRAIN, b"".join(records))


def chunk_id(number: int) -> bytes:
    """The id of a chunk by its number; negative ones are of no pack."""
    return blake3(number.to_bytes(9, "big", signed=True)).digest()


def apart(work: Callable[[], Numbers]) -> Numbers:
    """What `work` returns, in a process of its own, with that process's memory in bytes."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            found = work()
            os.write(write, json.dumps({**found, **memory()}).encode())
        except BaseException as error:  # noqa: BLE001 - told in the parent
            os.write(write, json.dumps(repr(error)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    told = json.loads(answer or b'"it died"')
    if not isinstance(told, dict):
        raise BenchError(f"a step failed: {told}")
    return told


def memory() -> Numbers:
    """Bytes: the peak of all resident memory, and what is private of it at the end."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "peak": int(fields["VmHWM"].split()[0]) * 1024,
        "private": int(fields["RssAnon"].split()[0]) * 1024,
    }


def _part(found: dict[str, object], name: str) -> dict[str, float]:
    part = found[name]
    if not isinstance(part, dict):
        raise BenchError(f"there is no {name}")
    return part


def _mb(count: float) -> str:
    return f"{count / 1e6:,.0f} MB"


if __name__ == "__main__":
    sys.exit(main())
