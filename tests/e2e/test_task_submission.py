"""docs/task-submission.md, from the other side: what its example was given can be opened with what it keeps.

That the example itself runs against a real stack is shown in tests/scheduler/test_task_submission_doc.py.
"""

import re
import subprocess
import sys
from pathlib import Path

from tests.whole.room import Strongroom, make_tree

ROOT = Path(__file__).parents[2]

# What the document says in words after the example: its job's parcels lie in the delivery area, sealed to `me`.
OPENING = """
import zstandard
from crypto.parcel import read_parcel

def opened(job_id):
    now_ms = time.time_ns() // 1_000_000
    for parcel in sorted((home.delivery / job_id).iterdir()):
        segment, sequence = map(int, parcel.name.split("-"))
        found = read_parcel(registry, parcel.read_bytes(), bytes.fromhex(job_id), segment, sequence, me, now_ms)
        chunks, at = [], 0
        for chunk in found.table.chunks:
            data = bytes(found.payload[at : at + chunk.length])
            at += chunk.length
            chunks.append(zstandard.decompress(data, chunk.raw_length) if chunk.codec else data)
        for piece in found.table.pieces:
            parts = zip(piece.extents[::3], piece.extents[1::3], piece.extents[2::3])
            yield piece.path, b"".join(chunks[n][offset : offset + length] for n, offset, length in parts)

for path, data in opened(restored[0]):
    print("file", path.hex(), data.hex())
"""


def test_the_parcels_of_the_example_open_with_its_key(kept: Strongroom, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/task-submission.md").read_text(), re.DOTALL)
    example, changed = re.subn(r'print\("restore", \*(submit\(.*\))\)', r"restored = \1", example)
    assert changed == 1
    source = tmp_path / "source"
    content = make_tree(source, files=12)
    done = subprocess.run(
        [sys.executable, "-c", example + OPENING, str(source)],
        env={**kept.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][::2] == ["backup", "done"]
    files = {
        bytes.fromhex(path).decode(): bytes.fromhex(data[0]) if data else b"" for _, path, *data in lines[1:]
    }
    assert {
        str(Path(path).relative_to(source)): data for path, data in files.items() if Path(path).is_file()
    } == content
    # The command sees the snapshot as any other, and the job in its list.
    (snapshot,) = kept.json("snapshots", "v")
    assert snapshot["files"] == len(content)
    assert {"backup", "restore"} <= {each["kind"] for each in kept.json("jobs")}
