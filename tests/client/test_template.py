"""The commented config.toml tells of every setting there is, with the value that it has without a line of its own."""

import tomllib

import msgspec
import pytest

from client.template import CONFIG_TOML
from config.settings import Settings

DEFAULTS = Settings()
SECTIONS = [
    name for name in Settings.__struct_fields__ if isinstance(getattr(DEFAULTS, name), msgspec.Struct)
]
OF_THE_MACHINE = frozenset({"backup", "restore"})
"""Without a line, these depend on the number of processors."""


def shown(section: str) -> dict[str, object]:
    """What stands below a heading, as if its lines were no comments."""
    part = CONFIG_TOML.partition(f"\n[{section}]\n")[2].partition("\n[")[0].partition("\n# [[")[0]
    lines = [line.removeprefix("# ") for line in part.splitlines() if " = " in line.partition("  #")[0]]
    return tomllib.loads("\n".join(lines))


def test_the_sections_were_found() -> None:
    assert {"broker", "kms", "store", "monitor"} <= set(SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_told_with_its_default(section: str) -> None:
    told = shown(section)
    expected = getattr(DEFAULTS, section)
    assert set(told) == set(expected.__struct_fields__)
    for name, value in told.items():
        if name not in OF_THE_MACHINE:
            real = getattr(expected, name)
            assert value == (list(real) if isinstance(real, tuple) else real), name
