"""The tree of errors that the module draws, and what a refusal carries."""

from scheduler import errors
from tests.drawn import drawn, made


def test_the_drawn_tree_is_that_of_the_classes() -> None:
    assert drawn(errors) == made(errors)
    assert "Refused" in made(errors)


def test_a_refusal_has_a_code_for_programs_beside_its_words() -> None:
    why = errors.Refused("expired", "the request is too old", remedy="submit it again")
    assert (why.code, why.message, why.remedy) == ("expired", "the request is too old", "submit it again")
