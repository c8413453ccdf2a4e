"""Secrets in files: the first line, and never a part of one."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.secret_files import MAX_SECRET_BYTES, first_line

LONGEST = b"x" * MAX_SECRET_BYTES


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"hush", "hush"),
        (b"hush\n", "hush"),
        (b"hush\r\nsecond\n", "hush"),
        (b" hush \n", " hush "),
        (LONGEST, LONGEST.decode()),
        (LONGEST + b"\n", LONGEST.decode()),
        (LONGEST + b"\r\n", LONGEST.decode()),
        ("häsch\n".encode(), "häsch"),
    ],
)
def test_the_first_line_without_its_end(tmp_path: Path, content: bytes, secret: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert first_line("a.password_file", str(tmp_path / "secret")) == secret


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"\nhush\n", LONGEST + b"x", LONGEST + b"xx\n"])
def test_a_line_that_is_none_or_too_long_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        first_line("a.password_file", str(path))
    assert "a.password_file" in refused.value.message
    assert str(path) in refused.value.message
    assert refused.value.remedy
    assert "hush" not in str(refused.value)
    assert "xxx" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match=r"a\.password_file cannot be read") as refused:
            first_line("a.password_file", str(path))
        assert refused.value.remedy
