"""`make systemd-test`: the units under a live systemd, installed as docs/operations.md says, in a container of its own.

`trial.sh` installs and makes a backup, a restore and a check with every role a unit, `trial-bucket.sh` a restore by way
of a bucket, for which one role is given keys; this looks at what systemd made of the sandboxes and who can read those
keys, kills each role, sees it come back, and stops all. Needs what `make compose-test` needs, and an engine that gives
a container CAP_SYS_ADMIN.
"""

import re
import subprocess
import sys
from contextlib import ExitStack
from typing import Final

from deploy.compose.engine import (
    ROOT,
    Failed,
    build,
    docker_command,
    engine,
    have_images,
    run,
    say,
    wait_for,
)

IMAGE: Final = "strongroom-systemd"
NAME: Final = "strongroom-systemd-trial"
HOME: Final = "/root"
"""Of the container's administrator; `trial.sh` has the home of their own command in it."""
CLIENT: Final = f"{HOME}/client"
# What systemd needs to make namespaces for its services. Not --privileged: an engine may not have all of that itself.
CAPABILITIES: Final = ("SYS_ADMIN", "DAC_READ_SEARCH", "SYS_PTRACE", "SYS_NICE", "NET_ADMIN", "SYSLOG")
UNITS: Final = {
    "strongroom-key-broker": "strongroom-key-broker",
    "strongroom-scheduler": "strongroom-scheduler",
    "strongroom-beat": "strongroom-beat",
    "strongroom-backup@web1": "strongroom-backup",
    # Workers that share folders are one user: trial.sh says so in drop-ins.
    "strongroom-restore": "strongroom-backup",
    "strongroom-maintenance": "strongroom-backup",
    "strongroom-monitor": "strongroom-monitor",
}
"""Units and their users."""
KEYS_OF: Final = "strongroom-restore"
"""The unit to which trial-bucket.sh gives keys of the store."""
MAX_EXPOSURE: Final = 2.5
"""As in tests/deploy/test_systemd.py, where it is judged from the files."""
READ_EVERYTHING: Final = 1 << 2
"""CAP_DAC_READ_SEARCH in a mask of capabilities."""
READY_S: Final = 60.0


class Machine:
    """A container with systemd."""

    def __init__(self, docker: str) -> None:
        self._docker = docker
        caps = [word for each in CAPABILITIES for word in ("--cap-add", each)]
        run(
            *(docker, "run", "-d", "--name", NAME, "--network", "none", *caps),
            *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
            *("--security-opt", "systempaths=unconfined", "--cgroupns", "host"),
            *("-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw"),
            *("--tmpfs", "/run:exec", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec", IMAGE),  # noqa: S108 - its own
        )

    def run(self, *words: str, check: bool = True) -> str:
        """Run a command there as root; its output.

        Raises:
            Failed: it failed, and `check` is on.
        """
        return run(self._docker, "exec", NAME, *words, check=check)

    def works(self, *words: str) -> bool:
        """Whether a command succeeds there."""
        return (
            subprocess.run([self._docker, "exec", NAME, *words], capture_output=True, check=False).returncode
            == 0
        )

    def install(self) -> None:
        """Bring the units and the examples there."""
        self.run("mkdir", "-p", "/srv/units")
        for source, target in (
            ("deploy/systemd/.", "/srv/units/"),
            ("deploy/compose/valkey.conf", "/srv/units/"),
            ("config/examples", "/srv/units/examples"),
            ("docs/operations.md", "/srv/units/"),
        ):
            run(self._docker, "cp", f"{ROOT}/{source}", f"{NAME}:{target}")

    def pid(self, unit: str) -> str:
        """The main process of a unit; "0" if there is none."""
        return self.run("systemctl", "show", "--property=MainPID", "--value", unit)

    def remove(self) -> None:
        """Take it down."""
        run(self._docker, "rm", "-f", NAME, check=False)


def check_sandbox(machine: Machine, unit: str, user: str) -> None:
    """What the kernel says about a unit's process, and what it finds when it tries.

    Raises:
        Failed: the unit may more, or less, than it must.
    """
    pid = machine.pid(unit)
    status = dict(
        line.split(":\t", 1)
        for line in machine.run("cat", f"/proc/{pid}/status").splitlines()
        if ":\t" in line
    )
    uid = machine.run("id", "-u", user)
    inside = ("nsenter", "--target", pid, "--mount", *_as(user, unit))
    expected = READ_EVERYTHING if "backup" in unit else 0
    others = [each for each in UNITS if each != unit]
    facts = {
        "its user": status["Uid"].split()[0] == uid,
        "no new privileges": status["NoNewPrivs"] == "1",
        "a filter of system calls": status["Seccomp"] == "2",
        "no capability too many": int(status["CapEff"], 16) == int(status["CapBnd"], 16) == expected,
        "writes in its home": machine.works(*inside, "touch", f"/var/lib/strongroom/{_home(unit)}/run/x"),
        "a root that is read-only": not machine.works(
            "nsenter", "--target", pid, "--mount", "touch", "/usr/x"
        ),
        "no secrets in /etc": not machine.works(
            *inside, "cat", f"/etc/strongroom/secrets/{_home(unit)}.password"
        ),
        "nobody else's home": not any(
            machine.works(*inside, "cat", f"/var/lib/strongroom/{_home(each)}/config.toml")
            for each in others
            if UNITS[each] != user or "backup" in unit
        ),
        "nobody else's credentials": not any(
            machine.works(*inside, "ls", f"/run/credentials/{each}.service") for each in others
        ),
        "its own credentials": machine.works(
            *inside, "cat", f"/run/credentials/{unit}.service/broker-password"
        ),
        "no homes": "backup" in unit or not machine.works("nsenter", "-t", pid, "-m", "ls", CLIENT),
    }
    if not all(facts.values()):
        raise Failed(f"{unit}: not {[name for name, holds in facts.items() if not holds]}")
    judged = machine.run("systemd-analyze", "security", "--no-pager", f"{unit}.service", check=False)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", judged)
    if found is None or float(found[1]) > MAX_EXPOSURE:
        raise Failed(f"{unit}: {judged[-300:]}")
    say(f"{unit}: sandboxed; exposure {found[1]} of 10")


def check_keys(machine: Machine) -> None:
    """The keys of the store are the restore worker's, and no other role's process or user can read them.

    A user is also tried from outside its units; but not the restore worker's own, which other workers have as well here
    because they share folders: between them it is systemd that hides each one's credentials.

    Raises:
        Failed: another role can read them, or their own cannot.
    """
    given = f"/run/credentials/{KEYS_OF}.service/aws"
    places = (given, "/etc/strongroom/secrets/restore.aws")
    inside = ("nsenter", "--target", machine.pid(KEYS_OF), "--mount", *_as(UNITS[KEYS_OF]))
    # What the process itself shows of its environment is overwritten by its title.
    environment = machine.run("systemctl", "show", "--property=Environment", "--value", KEYS_OF).split()
    facts = {
        "named to its processes": f"AWS_SHARED_CREDENTIALS_FILE={given}" in environment,
        "readable there": machine.works(*inside, "cat", given),
        "there only": not any(machine.works(*inside, "cat", place) for place in places[1:]),
    }
    for unit, user in UNITS.items():
        if unit != KEYS_OF:
            there = ("nsenter", "--target", machine.pid(unit), "--mount", *_as(user, unit))
            facts[f"hidden from {unit}"] = not any(machine.works(*there, "cat", place) for place in places)
    for user in set(UNITS.values()) - {UNITS[KEYS_OF]}:
        facts[f"refused to {user}"] = not any(machine.works(*_as(user), "cat", place) for place in places)
    if not all(facts.values()):
        raise Failed(f"keys of {KEYS_OF}: not {[name for name, holds in facts.items() if not holds]}")
    say(f"keys of a bucket for {KEYS_OF}: there and nowhere else, {len(facts)} looks")


def _as(user: str, unit: str = "") -> tuple[str, ...]:
    """Words before a command that is run as a user; in place of a unit, with what it may beyond its user."""
    more = (
        ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search") if "backup" in unit else ()
    )
    return ("setpriv", "--reuid", user, "--regid", user, "--clear-groups", *more)


def _home(unit: str) -> str:
    return unit.removeprefix("strongroom-").replace("@", ".")


def check_restart(machine: Machine, unit: str) -> None:
    """A role that is killed comes back."""
    before = machine.pid(unit)
    machine.run("systemctl", "kill", "--signal=KILL", unit)

    def back() -> bool:
        state = machine.run("systemctl", "is-active", unit, check=False)
        return state == "active" and machine.pid(unit) not in ("0", before)

    wait_for(f"{unit} after a kill", back, READY_S)


def play(machine: Machine) -> None:
    """Everything between starting the machine and taking it down.

    Raises:
        Failed: something was not as it must be.
    """
    wait_for(
        "systemd", lambda: machine.run("systemctl", "is-system-running", check=False) == "running", READY_S
    )
    machine.install()
    done = machine.run("sh", "/srv/units/trial.sh")
    say("installed; a backup, a restore and a check with every role a unit:")
    for line in done.splitlines():
        say(f"   {line}")
    for line in machine.run("sh", "/srv/units/trial-bucket.sh").splitlines():
        say(f"   by way of a bucket: {line}")
    for unit, user in UNITS.items():
        check_sandbox(machine, unit, user)
    check_keys(machine)
    for unit in UNITS:
        check_restart(machine, unit)
    say("each role was killed and came back")
    again = ("env", f"STRONGROOM_HOME={CLIENT}", "/opt/strongroom/.venv/bin/strongroom", "check", "web")
    machine.run(*again)
    machine.run("systemctl", "stop", *UNITS)
    results = {unit: machine.run("systemctl", "show", "--property=Result", "--value", unit) for unit in UNITS}
    if set(results.values()) != {"success"}:
        raise Failed(f"stopped otherwise than well: {results}")
    say("all stopped in good order")


def main() -> int:
    """The whole trial; 0 when everything was as it must be."""
    try:
        docker = docker_command()
        with ExitStack() as cleanup:
            cleanup.enter_context(engine(docker))
            have_images(docker)
            build(docker, "--file", str(ROOT / "deploy/systemd/trial.Dockerfile"), "--tag", IMAGE)
            machine = Machine(docker)
            cleanup.callback(machine.remove)
            try:
                play(machine)
            except Failed:
                say(machine.run("journalctl", "--no-pager", "-n", "60", "-u", "strongroom*", check=False))
                raise
        say("taken down; all is well")
    except Failed as error:
        sys.stderr.write(f"systemd-test failed: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
