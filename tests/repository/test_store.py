"""Names, prefixes and ranges that no store takes; what stores do with good ones is in test_store_contract.py."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repository.errors import InvalidName, ObjectDamaged
from repository.store import MAX_NAME, check_name, check_prefix, check_within

PART = st.text("abcxyz0189-./ABC_~\n\0é", max_size=12)


@given(parts=st.lists(PART, max_size=5))
def test_a_name_that_passes_has_no_way_out_and_nothing_to_hide(parts: list[str]) -> None:
    name = "/".join(parts)
    if all(re.fullmatch(r"[a-z0-9][a-z0-9-]*", part) for part in name.split("/")):
        check_name(name)
        check_prefix(f"{name}/")
        return
    with pytest.raises(InvalidName):
        check_name(name)


def test_a_name_may_be_so_long_and_no_longer() -> None:
    check_name("a" * MAX_NAME)
    with pytest.raises(InvalidName) as refused:
        check_name("a" * (MAX_NAME + 100))
    assert len(refused.value.message) < MAX_NAME + 50


@pytest.mark.parametrize("prefix", ["packs", "/", "//", "packs//", "../", "A/", "packs/../"])
def test_what_is_no_folder_is_no_prefix(prefix: str) -> None:
    check_prefix("")
    check_prefix("packs/")
    with pytest.raises(InvalidName):
        check_prefix(prefix)


@given(offset=st.integers(-5, 50), length=st.integers(-5, 50), size=st.integers(0, 40))
def test_a_range_is_inside_or_refused(offset: int, length: int, size: int) -> None:
    inside = offset >= 0 and length >= 0 and offset + length <= size
    if inside:
        check_within("a", offset, length, size)
    else:
        with pytest.raises(ObjectDamaged, match=f"ends at byte {size}"):
            check_within("a", offset, length, size)
