"""Reading objects by a listing while a prune puts others in the place of some of them."""

from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final, NoReturn, TypeVar

from repository import layout
from repository.errors import ObjectMissing, RepositoryError, StoreUnreachable
from repository.store import ReadStore

_LOOKS: Final = 8

V = TypeVar("V")


def read_listed(
    store: ReadStore,
    names: Iterable[str],
    read: Callable[[str], V],
    on_damaged: Callable[[str, RepositoryError], None],
    known: Container[str] = (),
) -> Iterator[tuple[str, V]]:
    """Names and content of index objects.

    The others are there before one goes. So what was listed and is gone is found in what another listing shows.

    Args:
        names: a listing.
        read: reads the object of a name.
        on_damaged: told the name and the error of each that cannot be used.
        known: names of those that are not wanted.

    Raises:
        StoreUnreachable: they are replaced faster than they can be read.
        RepositoryError: what `on_damaged` raises, or a listing.
    """
    wanted = list(names)
    seen = set(wanted)
    for _ in range(_LOOKS):
        gone: dict[str, ObjectMissing] = {}
        for name in wanted:
            if name in known:
                continue
            try:
                found = read(name)
            except ObjectMissing as error:
                gone[name] = error
            except RepositoryError as error:
                on_damaged(name, error)
            else:
                yield name, found
        there = list(store.list(layout.INDEX)) if gone else []
        for name in sorted(gone.keys() & there):
            on_damaged(name, gone[name])
        wanted = [name for name in there if name not in seen]
        if not wanted:
            return
        seen.update(wanted)
    raise StoreUnreachable("index objects are replaced faster than they can be read")


def fail(_name: str, error: RepositoryError) -> NoReturn:
    """What to be told of damage with which nothing goes on.

    Raises:
        RepositoryError: always.
    """
    raise error
