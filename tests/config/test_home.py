"""The home: where it is, and that nobody else can look in."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.home import Home


def test_the_environment_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRONGROOM_HOME", str(tmp_path))
    assert Home.from_env().root == tmp_path
    monkeypatch.delenv("STRONGROOM_HOME")
    assert Home.from_env().root == Path.home() / ".strongroom"


def test_a_relative_home_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRONGROOM_HOME", "here")
    with pytest.raises(ConfigError, match="here"):
        Home.from_env()


def test_all_of_it_is_owner_only_even_if_it_was_open(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.root.mkdir(mode=0o755)
    home.create()
    home.create()
    folders = [home.root, *(path for path in home.root.rglob("*") if path.is_dir())]
    assert len(folders) == 7
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(ConfigError, match="home"):
        Home(tmp_path / "home").create()
