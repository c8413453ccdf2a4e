"""Content that occurs more than once in a segment: stored once, restored everywhere."""

import os
from pathlib import Path

from tests.whole.room import Strongroom, read_tree


def test_files_of_equal_content_larger_than_chunks_come_back(room: Strongroom, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    twin = os.urandom(24_000_000)
    for name, content in {"a": twin, "b": twin, "c": os.urandom(3_000_000), "d": twin[:20_000_000]}.items():
        (source / name).write_bytes(content)
    made = room.json("backup", "v", source)
    assert made["chunks_reused"] > 0  # else this test shows nothing
    room.run("restore", "v", "latest", "--target", tmp_path / "out")
    assert read_tree(tmp_path / "out" / source.relative_to("/")) == read_tree(source)
