"""The tree of errors that the module draws is the one that its classes make."""

from repository import errors
from tests.drawn import drawn, made


def test_the_drawn_tree_is_that_of_the_classes() -> None:
    assert drawn(errors) == made(errors)
    assert len(made(errors)) > 20


def test_a_chunks_error_keeps_what_it_is_about() -> None:
    damaged = errors.ChunkDamaged("it does not open", chunk_id=b"c" * 32, pack_id=b"p" * 16, remedy="look")
    assert (damaged.message, damaged.remedy, damaged.chunk_id, damaged.pack_id) == (
        "it does not open",
        "look",
        b"c" * 32,
        b"p" * 16,
    )
    assert errors.ChunkMissing("nowhere", chunk_id=b"c" * 32).chunk_id == b"c" * 32
