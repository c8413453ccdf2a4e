"""docker-compose.yml gives each role the folders that it writes to, beside a home that it only reads."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = re.findall(
    r"^  ([a-z0-9-]+):\n((?:(?:    .*| *#.*|)\n)+)", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE
)
HOME = "/var/lib/strongroom"
REMEMBERS = ("backup", "restore", "maintenance")
"""Roles whose code asks for a folder in `cache` (`workers.indexes.cache_folder`)."""


def text_of(service: str) -> str:
    (text,) = [text for name, text in SERVICES if name == service]
    return str(text)


@pytest.mark.parametrize("role", REMEMBERS)
def test_a_role_that_keeps_something_on_disk_has_a_place_for_it(role: str) -> None:
    text = text_of(role)
    assert f"/state/{role}:{HOME}:ro" in text
    tmpfs = text.partition("tmpfs:")[2]
    for folder in ("run", "cache"):
        assert re.search(rf"{HOME}/{folder}:uid=\S+,mode=0700", tmpfs), folder


def test_every_role_that_asks_for_the_folder_is_looked_at() -> None:
    users = {
        path.parent.name
        for path in (ROOT / "workers").rglob("*.py")
        if re.search(r"\b(?:cache_folder|host_indexes|file_tables)\(", path.read_text())
    }
    assert users - {"workers"} == set(REMEMBERS)


def test_the_mount_points_are_made() -> None:
    script = (ROOT / "deploy" / "compose" / "prepare.sh").read_text()
    (line,) = [line for line in script.splitlines() if line.startswith("    mkdir -p")]
    assert '"$state/$host/cache"' in line and '"$state/$host/run"' in line
    (hosts,) = re.findall(r"^for host in (.*); do\n    # Mount", script, re.MULTILINE)
    assert set(REMEMBERS) <= set(hosts.split())
