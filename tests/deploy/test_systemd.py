"""The units run what they say they run, in a sandbox, and systemd understands them where there is one."""

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from client.commands.worker import ROLES, command
from config import queues
from workers.run import EXIT_CONFIG, _host_of

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
MAX_EXPOSURE = 2.5
"""Of 10; systemd calls up to 2 good and up to 4.9 OK. One that reads every file needs a capability."""


def settings_of(unit: Path) -> dict[str, list[str]]:
    found = defaultdict(list)
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name].append(value)
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_role_that_there_is_with_its_own_user_and_secrets(unit: Path) -> None:
    settings = settings_of(unit)
    (line,) = settings["ExecStart"]
    program, verb, *words = line.replace("%i", "web1").split()
    assert (Path(program).name, verb) == ("strongroom", "worker")
    given = command.make_context("worker", words).params
    host = _host_of(given["role"], given["queue"])
    station = queues.station(given["role"], host)
    assert settings["User"] == settings["Group"] == [f"strongroom-{given['role']}"]
    assert settings["StateDirectory"][0].replace("%i", "web1") == f"strongroom/{station}"
    secrets = [value.replace("%i", "web1") for value in settings["LoadCredential"]]
    assert f"broker-password:/etc/strongroom/secrets/{station}.password" in secrets
    assert not [value for value in secrets if Path(value).stem not in (station, "flower", "server-flower")]


def test_every_role_has_a_unit_and_a_user() -> None:
    roles = {
        command.make_context("worker", settings_of(unit)["ExecStart"][0].split()[2:]).params["role"]
        for unit in UNITS
    }
    assert roles == set(ROLES)
    users = {
        line.split()[1]
        for line in (FOLDER / "strongroom.sysusers.conf").read_text().splitlines()
        if line[0] == "u"
    }
    assert users == {f"strongroom-{role}" for role in ROLES}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_role_is_started_again_until_it_runs_or_its_settings_forbid_it(unit: Path) -> None:
    settings = settings_of(unit)
    assert settings["Restart"] == ["always"]
    assert settings["StartLimitIntervalSec"] == ["0"]
    assert settings["RestartPreventExitStatus"] == [str(EXIT_CONFIG)]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_gives_nothing_that_its_role_does_not_need(unit: Path) -> None:
    settings = settings_of(unit)
    reads_everything = "backup" in unit.name
    assert settings["CapabilityBoundingSet"] == ["CAP_DAC_READ_SEARCH" if reads_everything else ""]
    assert settings["ProtectHome"] == ["read-only" if reads_everything else "yes"]
    if reads_everything:
        # Else it would read the keys of the other roles that its host runs.
        assert settings["InaccessiblePaths"] == ["-/etc/strongroom/secrets"]
        assert settings["TemporaryFileSystem"] == ["/var/lib/strongroom:ro"]
        assert settings["BindPaths"] == [f"/var/lib/{settings['StateDirectory'][0]}"]
    for name in (
        "NoNewPrivileges",
        "PrivateTmp",
        "RestrictNamespaces",
        "ProtectKernelTunables",
        "LockPersonality",
    ):
        assert settings[name] == ["yes"], name
    assert settings["ProtectSystem"] == ["strict"]
    assert settings["LimitCORE"] == ["0"]
    # `harden_process` sets a limit, so the filter must leave that call alone.
    assert not any("@resources" in each for each in settings["SystemCallFilter"])
    assert settings["RestartPreventExitStatus"] == ["78"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_home_with_its_cache_is_the_one_folder_that_systemd_makes_writable(unit: Path) -> None:
    settings = settings_of(unit)
    (home,) = [value for value in settings["Environment"] if value.startswith("STRONGROOM_HOME=")]
    assert home == f"STRONGROOM_HOME=/var/lib/{settings['StateDirectory'][0]}"
    assert settings["StateDirectoryMode"] == ["0700"]


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # the tests above read the units themselves
    copies = []
    for unit in UNITS:
        # The program is not installed where the unit says.
        lines = [
            "ExecStart=/bin/true" if line.startswith("ExecStart=") else line
            for line in unit.read_text().splitlines()
        ]
        copies.append(tmp_path / unit.name)
        copies[-1].write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [analyze, "verify", "--man=no", *map(str, copies)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "strongroom" in line]
    assert (done.returncode, ours) == (0, [])
    for copy in copies:
        judged = subprocess.run(
            [
                analyze,
                "security",
                "--offline=true",
                f"--threshold={int(MAX_EXPOSURE * 10)}",
                "--no-pager",
                str(copy),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert judged.returncode == 0, judged.stdout[-200:]
