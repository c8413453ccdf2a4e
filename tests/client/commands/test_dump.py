"""`strongroom dump`: what is written where, and with which exit code."""

import io
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from client.commands.dump import _exit_code, _sink
from client.dump.run import Dumped
from client.dump.sink import Content
from client.errors import NotDumpable
from client.installation import python_command
from tests.client.deliveries import ParcelMaker
from tests.client.shell import Shell


def dumped(shell: Shell, *words: str) -> bytes:
    command, environment = python_command("client.main", "dump", *words)
    environment = {**environment, "STRONGROOM_HOME": str(shell.home)}
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=True).stdout


def test_the_content_of_a_file_and_nothing_else(shell: Shell, snapshot: dict[str, Any]) -> None:
    big = shell.root / "tree/sub/deep/big"
    assert dumped(shell, "docs", f"{snapshot['snapshot']}:{big}") == big.read_bytes()


def test_a_folder_as_an_archive(shell: Shell, snapshot: dict[str, Any]) -> None:
    tree = shell.root / "tree/sub"
    data = dumped(shell, "docs", f"{snapshot['snapshot']}:{tree}", "--archive", "zip")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.read("7.txt") == (tree / "7.txt").read_bytes()


def test_with_a_file_to_write_to_the_result_can_be_told(
    shell: Shell, snapshot: dict[str, Any], tmp_path: Path
) -> None:
    path = f"{snapshot['snapshot']}:{shell.root}/tree/hard"
    told = shell.json("dump", "docs", path, "--target", str(tmp_path / "out"))
    assert (told["files"], told["errors"], told["failed"]) == (1, 0, [])
    assert (tmp_path / "out").read_bytes() == (shell.root / "tree/hard").read_bytes()


def test_a_result_does_not_go_where_the_content_goes(shell: Shell, snapshot: dict[str, Any]) -> None:
    refused = shell.json("dump", "docs", snapshot["snapshot"], code=2)
    assert refused["code"] == "bad-argument"
    assert "--target" in refused["remedy"]


def test_one_file_is_not_passed_off_as_an_archive(
    shell: Shell, snapshot: dict[str, Any], tmp_path: Path
) -> None:
    path = f"{snapshot['snapshot']}:{shell.root}/tree/hard"
    for kind in ("zip", "tar"):
        words = ("dump", "docs", path, "--archive", kind, "--target", str(tmp_path / "out"))
        told = shell.json(*words, code=1)
        assert told["code"] == "not-dumpable"
        assert "--archive" in told["remedy"]
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["l", "p", "c", "b"])
def test_what_has_no_content_is_refused_when_it_alone_is_asked_for(kind: str) -> None:
    maker = ParcelMaker()
    maker.piece(b"/a", "p")
    piece = msgspec.structs.replace(maker.pieces[0], kind=kind)
    out = io.BytesIO()
    with pytest.raises(NotDumpable) as refused:
        _sink(out, b"/a", piece, "tar", Path("x"))
    assert "folder" in refused.value.remedy
    assert not isinstance(_sink(out, b"", piece, "tar", Path("x")), Content)


@pytest.mark.parametrize(
    ("files", "failed", "code"), [(1, {}, 0), (0, {}, 0), (1, {b"/a": "lost"}, 3), (0, {b"/a": "lost"}, 1)]
)
def test_the_exit_code_says_whether_all_of_it_is_there(
    files: int, failed: dict[bytes, str], code: int
) -> None:
    assert _exit_code(Dumped("ab", files, 0, failed)) == code
