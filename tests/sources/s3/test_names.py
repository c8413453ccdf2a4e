"""Keys as paths: lawful, one for each key, and in the order that the listing makes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repository.rules import check_path
from sources.s3.names import escape, path_of, unescape
from sources.source import MetaDamaged, order_key

KEYS = st.text(st.sampled_from("ab/.-\0\1\2é\U0010ffff"), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("a/b.txt", b"a/b.txt"),
        ("a//b", b"a/\1/b"),
        ("folder/", b"folder/\1"),
        ("/a", b"\1/a"),
        ("../x", b"..\1/x"),
        ("./x", b".\1/x"),
        ("a\0b", b"a\1\1b"),
        ("a\1b", b"a\1\2b"),
    ],
)
def test_what_a_path_may_not_hold_is_written_as_the_manual_says(key: str, names: bytes):
    assert escape(key) == names
    assert unescape(names) == key


@given(KEYS)
def test_every_key_has_a_lawful_path_and_comes_back(key: str):
    check_path(path_of("bucket", key))
    assert unescape(escape(key)) == key


@given(KEYS, KEYS)
def test_paths_are_in_the_order_of_keys_whose_slashes_come_first(one: str, other: str):
    def keyed(key: str) -> list[int]:
        return [0 if char == "/" else ord(char) + 1 for char in key]

    assert (order_key(escape(one)) < order_key(escape(other))) == (keyed(one) < keyed(other))


@pytest.mark.parametrize("names", [b"", b"a//b", b"a\0", b"a\1", b"x\1y", b"\xff", b".", b".."])
def test_a_path_that_no_key_becomes_is_refused(names: bytes):
    with pytest.raises(MetaDamaged):
        unescape(names)
