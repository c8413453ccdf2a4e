"""The list of cases, and choosing among them."""

from bench.cases.case import Case
from bench.cases.changed import CHANGED
from bench.cases.limits import LIMITS
from bench.cases.many import MANY
from bench.cases.oneshot import ONE_SHOT
from bench.cases.series import SERIES
from bench.cases.single import SINGLE
from bench.cases.startup import STARTUP
from bench.cases.whole import BIG, TREE
from bench.cases.workers import WORKERS
from bench.errors import BenchError

ALL = (TREE, BIG, CHANGED, ONE_SHOT, SINGLE, WORKERS, SERIES, STARTUP, LIMITS, MANY)
"""In the order in which they are measured: what shares data comes together, what drops it comes last."""


def choose(names: str) -> list[Case]:
    """The cases of a list of names, in the order of `ALL`.

    Args:
        names: separated by commas; "all" for all.

    Raises:
        BenchError: there is no case of a name.
    """
    known = {case.name: case for case in ALL}
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if wanted == {"all"}:
        return list(ALL)
    if unknown := sorted(wanted - set(known)):
        raise BenchError(f"no such case: {unknown[0]}; there are {', '.join(known)}")
    if not wanted:
        raise BenchError("no case is named")
    return [case for case in ALL if case.name in wanted]
