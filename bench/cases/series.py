"""Release after release of one package, unpacked into the same folder and backed up."""

from bench.bench import Bench
from bench.cases.case import Case
from bench.errors import BenchError
from bench.measured import Sample
from bench.programs.tool import Tool
from bench.releases import LIST, fetch, releases, unpack
from bench.sizes import MB


def _run(bench: Bench) -> None:
    wanted = releases(LIST.read_text())[: bench.material.sizes.releases]
    archives = [fetch(each, bench.downloads, bench.say) for each in wanted]
    left: list[Tool] = [tool for tool in bench.tools if tool.increments]
    with bench.place("series") as base:
        base.mkdir()
        places = {tool.name: base / f"series-{tool.key}" for tool in left}
        total = 0
        for release, archive in zip(wanted, archives, strict=True):
            total += unpack(archive, base / "source")
            for tool in tuple(left):
                try:
                    if release is wanted[0]:
                        tool.prepare(places[tool.name])
                    done = tool.backup(base / "source", places[tool.name])
                except (BenchError, OSError) as error:
                    bench.fail("series", tool.name, error)
                    left.remove(tool)
                else:
                    bench.record(Sample("series", tool.name, release.version, 1, done))
    first, last = wanted[0], wanted[-1]
    bench.note(
        "series",
        f"{first.requirement} to {last.version}, {len(wanted)} releases, {total / MB:,.0f} MB in all.",
    )


SERIES = Case(
    "series",
    "Source distributions of one package, unpacked one after another into the same folder, each file with the mtime "
    "that its release gave it, and backed up: bytes in the repository after each.",
    _run,
    cell="stored",
    offline_is_fine=True,
)
