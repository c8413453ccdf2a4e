"""The measurement of the index runs, and says what it found."""

import json
from pathlib import Path

from bench import index


def test_it_measures_a_small_index(tmp_path: Path) -> None:
    results = tmp_path / "results"
    arguments = ["--entries", "3000", "--lookups", "500", "--dir", str(tmp_path), "--results", str(results)]
    assert index.main(arguments) == 0
    found = json.loads((results / "index.json").read_text())
    assert found["entries"] == 3000
    assert found["build"]["bytes"] > 52 * 3000
    assert found["one more backup"]["bytes"] > 52 * (3000 + index.A_BACKUP)
    assert (
        set(found["lookups"])
        == set(found["memory: lookups"])
        == {"misses", "hits", "places", "peak", "private"}
    )
    assert "| on disk |" in (results / "index.md").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"results"}
