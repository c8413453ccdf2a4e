"""The tree of errors that the module draws is the one that its classes make."""

import inspect
import re

from config.errors import StrongroomError
from repository import errors


def drawn() -> dict[str, str]:
    """Each class of the drawing, with the one that it hangs from."""
    above: list[str] = []
    found = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"((?:[│├└─ ]{4})*)([A-Z][A-Za-z]+)\b", line)
        if match is None or line.startswith("Every"):
            continue
        depth = len(match[1]) // 4
        del above[depth:]
        found[match[2]] = above[-1] if above else StrongroomError.__name__
        above.append(match[2])
    return found


def test_the_drawn_tree_is_that_of_the_classes() -> None:
    made = {
        name: each.__base__.__name__
        for name, each in inspect.getmembers(errors, inspect.isclass)
        if each.__module__ == errors.__name__ and each.__base__ is not None
    }
    assert drawn() == made


def test_a_chunks_error_keeps_what_it_is_about() -> None:
    damaged = errors.ChunkDamaged("it does not open", chunk_id=b"c" * 32, pack_id=b"p" * 16, remedy="look")
    assert (damaged.message, damaged.remedy, damaged.chunk_id, damaged.pack_id) == (
        "it does not open",
        "look",
        b"c" * 32,
        b"p" * 16,
    )
    assert errors.ChunkMissing("nowhere", chunk_id=b"c" * 32).chunk_id == b"c" * 32
