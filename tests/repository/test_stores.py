"""From URIs to stores."""

from pathlib import Path

import pytest

from repository.errors import StoreMissing, StoreUnsupported
from repository.stores import open_pruner, open_reader, open_writer


def test_the_three_powers(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/a%20folder"
    writer = open_writer(uri, create=True)
    writer.put("a", [b"x"])
    assert (tmp_path / "a folder" / "a").read_bytes() == b"x"
    reader = open_reader(uri)
    assert reader.get("a", 1) == b"x"
    assert not hasattr(reader, "put")
    assert not hasattr(writer, "delete")
    pruner = open_pruner(uri)
    pruner.delete("a")
    assert list(reader.list("")) == []


@pytest.mark.parametrize(
    "uri",
    [
        "s3://x",
        "/plain/path",
        "file://host/path",
        "file:relative",
        "file:///a/../b",
        "file:///a?x=1",
        "http://x/",
        "",
        "file:///a%00b",
    ],
)
def test_other_uris_are_refused(uri: str) -> None:
    for opener in (open_reader, open_writer, open_pruner):
        with pytest.raises(StoreUnsupported):
            opener(uri)


def test_only_init_makes_the_folder(tmp_path: Path) -> None:
    for opener in (open_reader, open_writer, open_pruner):
        with pytest.raises(StoreMissing):
            opener(f"file://{tmp_path}/none")
    assert list(tmp_path.iterdir()) == []
