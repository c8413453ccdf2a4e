"""The trial of the units looks at every unit that there is, as the user that the unit names."""

import re
from pathlib import Path

import pytest

from deploy.compose.engine import ROOT
from deploy.systemd.trial import HOME, KEYS_OF, MAX_EXPOSURE, UNITS, _as, _home
from tests.deploy import test_systemd

FOLDER = ROOT / "deploy/systemd"
DROP_INS = (FOLDER / "trial.sh").read_text()


def unit_file(unit: str) -> Path:
    return FOLDER / f"{unit.partition('@')[0]}{'@' if '@' in unit else ''}.service"


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_one_and_its_user_the_file_s_or_the_trial_s_own(unit: str) -> None:
    text = unit_file(unit).read_text()
    user = re.search(r"^User=(\S+)$", text, re.MULTILINE)
    assert user is not None
    assert user[1] == UNITS[unit] or f"User={UNITS[unit]}" in DROP_INS


def test_no_role_is_forgotten() -> None:
    files = {path.stem.rstrip("@") for path in FOLDER.glob("strongroom-*.service")}
    assert files == {unit.partition("@")[0] for unit in UNITS}
    assert KEYS_OF in UNITS


def test_the_same_exposure_is_borne_as_from_the_files() -> None:
    assert f"{MAX_EXPOSURE}" in Path(test_systemd.__file__).read_text()


def test_a_backup_worker_is_tried_with_the_capability_that_it_has_and_nobody_else() -> None:
    with_capability = {unit for unit in UNITS if "--ambient-caps" in _as(UNITS[unit], unit)}
    assert with_capability == {"strongroom-backup@web1"}
    assert "--ambient-caps" not in _as("strongroom-backup")


def test_an_instance_has_a_home_of_its_own() -> None:
    homes = {_home(unit) for unit in UNITS}
    assert "backup.web1" in homes
    assert len(homes) == len(UNITS)
    assert not any(home.startswith(HOME) for home in homes)
