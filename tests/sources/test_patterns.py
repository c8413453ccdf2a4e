"""Patterns against restic's rules; the cases marked filter_test come from restic internal/filter/filter_test.go."""

import pytest

from sources.patterns import MAX_PATTERN_LENGTH, PatternError, Patterns

CASES = [
    # filter_test
    ("foo", "/foo", True),
    ("*.go", "/foo/bar/test.go", True),
    ("*.c", "/foo/bar/test.go", False),
    ("foo/*.go", "/usr/foo/test.go", True),
    ("foo/*.go", "/usr/foo/bar/test.go", False),
    ("/foo/*/test.*", "/foo/bar/test.go", True),
    ("/foo/*/*/bar/test.*", "/foo/bar/test.go", False),
    ("/*/*/bar/test.*", "/foo/bar/test.go", False),
    ("/*/*/bar/test.*", "/foo/bar/bar/test.go", True),
    ("user", "/home/user/testfile", True),
    ("home/user", "/home/user/testfile", True),
    ("home/usr", "/home/user/testfile", False),
    ("/user", "/home/user/testfile", False),
    ("/home/user", "/home/user", True),
    ("/home/user", "/home/user2", False),
    ("foo/**/bar", "/foo/bar", True),
    ("foo/**/bar", "/foo/a/b/bar/x", True),
    ("foo/**/bar/**/x", "/foo/bar/x", True),
    ("foo/**/bar/**/x", "/foo/a/bar/b/c/x", True),
    ("foo/**/bar/**/x", "/foo/a/baz/b/c/x", False),
    ("/foo/**", "/foo/a", True),
    ("/foo/**", "/fooo", False),
    ("**/test.go", "/foo/test.go", True),
    ("/home/**/a*c/x", "/home/u/abcd/abc/x", True),
    # names
    ("*", "/x", True),
    ("/", "/anything", True),
    ("a?c", "/aéc", True),
    ("a?c", "/a/c", False),
    ("[a-c]x", "/bx", True),
    ("[^a-c]x", "/bx", False),
    ("[^a]x", "/x", False),
    ("\\*", "/*", True),
    ("\\*", "/a", False),
    ("a.b", "/axb", False),
    ("*a*b*c", "/xxaxbxbxc", True),
    ("*ab*ab", "/ab", False),
    ("foo/", "/x/foo", True),
    ("//foo/./bar/", "/foo/bar", True),
    ("new\nline*", "/new\nline\n", True),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), CASES)
def test_matches(pattern: str, path: str, expected: bool) -> None:
    assert Patterns.parse([pattern]).matches(path.encode()) is expected


@pytest.mark.parametrize(("pattern", "path", "expected"), CASES)
def test_descending_by_child_finds_the_same(pattern: str, path: str, expected: bool) -> None:
    patterns = Patterns.parse([pattern, "never-there"])
    names = path.encode().split(b"/")
    found = patterns.sources[0] == "/" or any(
        patterns.matches_child(b"/".join(names[: n + 1]), names[n]) for n in range(1, len(names))
    )
    assert found is expected


def test_bytes_that_are_not_utf8() -> None:
    assert Patterns.parse(["a?b"]).matches(b"/a\xffb")
    assert Patterns.parse(["\udce2(*"]).matches(b"/x/\xe2\x28\xa1")
    assert not Patterns.parse(["\udce2(*"]).matches(b"/x/\xe3\x28\xa1")


def test_the_last_match_decides() -> None:
    patterns = Patterns.parse(["*.log", "!keep.log", "/x/keep.log"])
    assert patterns.matches(b"/a.log")
    assert not patterns.matches(b"/a/keep.log")
    assert not patterns.matches_child(b"/a/keep.log", b"keep.log")
    assert patterns.matches(b"/x/keep.log")


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/home/user/*.txt", "/", True),
        ("/home/user/*.txt", "/home", True),
        ("/home/user/*.txt", "/home/user", True),
        ("/home/user/*.txt", "/home/other", False),
        ("/home/user/*.txt", "/homes", False),
        ("/home/user", "/home/user/below", True),
        ("/home/**/x", "/home/a/b", True),
        ("/home/**/x", "/etc", False),
        ("*.txt", "/etc", True),
        ("a/b", "/etc", True),
    ],
)
def test_may_contain(pattern: str, path: str, expected: bool) -> None:
    assert Patterns.parse([pattern]).may_contain(path.encode()) is expected


def test_the_empty_list_matches_nothing() -> None:
    empty = Patterns.parse([])
    assert not empty
    assert not empty.matches(b"/a")
    assert not empty.matches_child(b"/a", b"a")
    assert not empty.may_contain(b"/")


@pytest.mark.parametrize(
    "pattern", ["", " ", "!", "[", "[a", "[a-", "[z-a]", "[]", "[-a]", "a\\", "../x", "/a/../b", ".", "a\0b"]
)
def test_bad_patterns_are_refused_by_name(pattern: str) -> None:
    with pytest.raises(PatternError, match="bad pattern"):
        Patterns.parse(["fine", pattern])


def test_too_long_a_pattern() -> None:
    with pytest.raises(PatternError, match="longer than"):
        Patterns.parse(["x" * (MAX_PATTERN_LENGTH + 1)])


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 40 + "b", b"/" + b"a" * 255),
        ("/" + "**/a/" * 30 + "b", b"/a" * 1500),
        ("a/*/" * 20 + "b", b"/a" * 900),
    ],
)
def test_no_pattern_takes_for_ever(pattern: str, path: bytes) -> None:
    # A pattern that backtracks would still be at it when the test's time limit ends it.
    assert not Patterns.parse([pattern]).matches(path)
