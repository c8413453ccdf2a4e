"""Which entries and manifests a search is about."""

import pytest

from crypto.job import ANY, FindSpec
from repository.manifest import Entry, ManifestRef
from tests.client.deliveries import meta
from workers.restore.find import Matcher


def matcher(
    *patterns: str, ignore_case: bool = False, oldest_ns: int | None = None, newest_ns: int | None = None
) -> Matcher:
    return Matcher(FindSpec("", b"", patterns, ignore_case, (), "", ANY, oldest_ns, newest_ns))


def entry(path: bytes, part: int = 0, mtime_ns: int = 0) -> Entry:
    return Entry(path, "f", 0, b"", meta("f", 0o644, mtime_ns=mtime_ns), [], b"", [], part)


@pytest.mark.parametrize(
    ("patterns", "first", "last", "expected"),
    [
        (("*.txt",), b"/a", b"/b", True),
        (("/a/b",), b"/a", b"/a/a", False),
        (("/a/b",), b"/a", b"/b", True),
        (("/a/b/*.txt", "/c"), b"/b", b"/c", True),
        (("/a/b/*.txt", "/c"), b"/b", b"/bb", False),
        (("/a/b*",), b"/a/x", b"/a/y", True),
        (("/a/b*",), b"/b", b"/c", False),
        (("/a/[b]",), b"/a/x", b"/a/y", True),
        (("/a/\\b",), b"/a/x", b"/a/y", True),
        (("/a/./b//c",), b"/a/b/c/d", b"/a/b/c/e", True),
        (("/a", "!/b"), b"/b", b"/c", False),
        (("/a", "b"), b"/b", b"/c", True),
    ],
)
def test_manifests_beside_a_fixed_beginning_are_not_read(
    patterns: tuple[str, ...], first: bytes, last: bytes, expected: bool
) -> None:
    ref = ManifestRef(bytes(24), 1, bytes(32), first, last, 1, 0, 0)
    assert matcher(*patterns).overlaps(ref) is expected
    assert matcher(*patterns, ignore_case=True).overlaps(ref) is True


def test_a_file_in_parts_is_found_once() -> None:
    assert matcher("huge").matches(entry(b"/huge"))
    assert not matcher("huge").matches(entry(b"/huge", part=5))


def test_case_is_ignored_on_request_and_bytes_are_left_alone() -> None:
    path = b"/\xffCaf\xc3\x89"
    assert not matcher("*caf\u00e9").matches(entry(path))
    assert matcher("*CAF\u00e9", ignore_case=True).matches(entry(path))


def test_times_are_bounds_that_belong_to_it() -> None:
    for mtime_ns, expected in ((9, False), (10, True), (20, True), (21, False)):
        found = matcher("x", oldest_ns=10, newest_ns=20).matches(entry(b"/x", mtime_ns=mtime_ns))
        assert found is expected
