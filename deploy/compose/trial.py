"""`make compose-test`: docker-compose.yml for real, from building the image to taking everything down again.

Backs up and restores from a client on a network of its own, tries what each container must not reach, scales the backup
workers and shows who did what. Needs Docker and docker-compose; as root, starts an engine of its own when none runs
(Debian: docker.io, docker-compose, debootstrap). Where no registry can be reached, the base image is made with
debootstrap under its name, and Valkey and Prometheus are Debian's.
"""

import base64
import hashlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
BASE: Final = "debian:bookworm-slim"
SUBSTITUTES: Final = {"valkey": "valkey/valkey:8.0-bookworm", "prometheus": "prom/prometheus:v2.53.5"}
SLIM: Final = (
    "var/cache/apt/archives",
    "var/lib/apt/lists/*_*",
    "usr/share/doc",
    "usr/share/man/*",
    "usr/share/locale/*",
)
"""What a `slim` image leaves out as well."""
UID: Final = 10001
FLOWER_PORT: Final = 15555
PROMETHEUS_PORT: Final = 19090
READY_S: Final = 180
MAX_RESTARTS: Final = 3
SPREAD_BYTES: Final = 1_500_000_000
ROLES: Final = ("scheduler", "beat", "key-broker", "backup", "restore", "maintenance", "flower")
PROBE: Final = "import socket; socket.create_connection(('probe', 8000), 3).close()"


class Failed(Exception):
    """The trial did not go as it must."""


def say(text: str) -> None:
    """One line of the report."""
    print(f"-- {text}", flush=True)


def run(*words: str, check: bool = True, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a command; its output.

    Raises:
        Failed: it failed, and `check` is on.
    """
    done = subprocess.run(
        words, env={**os.environ, **(env or {})}, cwd=cwd, capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        raise Failed(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def docker_command() -> str:
    """A docker command that can build with secrets."""
    for candidate in ("docker", "/usr/bin/docker"):
        if shutil.which(candidate) and "--secret" in run(
            candidate, "build", "--help", check=False, env={"DOCKER_BUILDKIT": "1"}
        ):
            return candidate
    raise Failed("no docker command with BuildKit here: apt-get install docker.io docker-compose debootstrap")


@contextmanager
def engine(docker: str) -> Iterator[None]:
    """A running engine: the one that is there, or as root one of our own until the end."""
    if subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0:
        yield
        return
    if os.geteuid() or not shutil.which("dockerd"):
        raise Failed("no Docker engine answers; start one, or run this as root with dockerd installed")
    # Not below a temporary file system: overlay needs a real one. Made once, because images take minutes.
    folder = Path(os.environ.get("STRONGROOM_TRIAL_ENGINE", "/var/lib/strongroom-trial-engine"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["DOCKER_HOST"] = f"unix://{folder}/docker.sock"
    say(f"starting an engine of our own in {folder}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *("dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"),
                *("--host", os.environ["DOCKER_HOST"], "--pidfile", f"{folder}/pid"),
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for("the engine", lambda: run(docker, "info", "--format", "{{.ID}}", check=False) != "", 60)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def wait_for(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Wait until something has come about.

    Raises:
        Failed: it did not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what} is not there after {seconds:.0f} s")
        time.sleep(0.5)


def have_images(docker: str) -> None:
    """The images of docker-compose.yml: pulled, or made from Debian's packages."""
    if (
        not run(docker, "images", "-q", BASE)
        and subprocess.run([docker, "pull", "-q", BASE], capture_output=True, check=False).returncode
    ):
        say(f"no registry: making {BASE} with debootstrap")
        with tempfile.TemporaryDirectory(prefix="base-") as folder:
            run("debootstrap", "--variant=minbase", "bookworm", folder, "http://deb.debian.org/debian")
            for unneeded in SLIM:
                for path in Path(folder).glob(unneeded):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            with subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as tar:
                subprocess.run(
                    [docker, "import", "-", BASE], stdin=tar.stdout, check=True, capture_output=True
                )
    ca = os.environ.get("PIP_CERT", "/etc/ssl/certs/ca-certificates.crt")
    secret = ["--secret", f"id=ca,src={ca}"] if Path(ca).exists() else []
    for target, image in SUBSTITUTES.items():
        if (
            run(docker, "images", "-q", image)
            or not subprocess.run([docker, "pull", "-q", image], capture_output=True, check=False).returncode
        ):
            continue
        file = str(ROOT / "deploy/compose/Dockerfile.substitutes")
        build(docker, "--file", file, "--target", target, "--tag", image)
    build(docker, *secret, "--target", "s3", "--tag", "strongroom-s3")
    build(docker, *secret, "--target", "strongroom", "--tag", "strongroom")
    size = int(run(docker, "image", "inspect", "--format", "{{.Size}}", "strongroom"))
    say(f"image strongroom: {size / 1e6:.0f} MB")


def build(docker: str, *words: str) -> None:
    """Build an image from the repository."""
    run(docker, "build", "-q", *words, str(ROOT), env={"DOCKER_BUILDKIT": "1"})


class Trial:
    """The project in a folder of its own, so that nobody's state is touched."""

    def __init__(self, docker: str, folder: Path) -> None:
        self.docker = docker
        self.folder = folder
        compose = shutil.which("docker-compose")
        self._compose = [compose] if compose else [docker, "compose"]
        shutil.copy(ROOT / "docker-compose.yml", folder)
        shutil.copytree(
            ROOT / "deploy/compose", folder / "deploy/compose", ignore=shutil.ignore_patterns("state")
        )
        for name in ("source", "deploy/compose/state"):
            (folder / name).mkdir(mode=0o755)
            os.chown(folder / name, UID, UID)
        self.environment = {
            "COMPOSE_PROJECT_NAME": "strongroom-trial",
            "STRONGROOM_SOURCE": str(folder / "source"),
            "STRONGROOM_FLOWER_PORT": str(FLOWER_PORT),
            "STRONGROOM_PROMETHEUS_PORT": str(PROMETHEUS_PORT),
            "STRONGROOM_BACKUP_PROCESSES": "1",
        }

    def compose(self, *words: str, check: bool = True) -> str:
        """`docker-compose WORDS`."""
        return run(*self._compose, *words, check=check, env=self.environment, cwd=self.folder)

    def client(self, *words: str) -> Any:
        """`strongroom WORDS` in a new container on the clients' network; its JSON."""
        return json.loads(self.compose("run", "--rm", "-T", "client", *words, "--json").splitlines()[-1])

    def admin(self, home: str, *words: str) -> Any:
        """`strongroom WORDS` in the home of one host, without any network."""
        command = ("run", "--rm", "-T", "-e", f"STRONGROOM_HOME=/state/{home}", "--entrypoint", "strongroom")
        return json.loads(self.compose(*command, "setup", *words, "--json").splitlines()[-1])

    def containers(self, service: str) -> list[str]:
        """Ids of a service's containers."""
        return self.compose("ps", "-q", service).split()

    def inside(self, container: str, *words: str) -> bool:
        """Whether a command succeeds in a container."""
        done = subprocess.run([self.docker, "exec", container, *words], capture_output=True, check=False)
        return done.returncode == 0

    def wait_healthy(self) -> None:
        """Wait until every container is healthy."""

        def healthy() -> bool:
            ids = self.compose("ps", "-q").split()
            found = json.loads(run(self.docker, "inspect", *ids)) if ids else []
            if any(each["RestartCount"] > MAX_RESTARTS for each in found):
                raise Failed("a container does not stay up")
            states = {each["State"].get("Health", each["State"])["Status"] for each in found}
            return bool(found) and states <= {"healthy", "running"}

        wait_for("a healthy installation", healthy, READY_S)


def check_hardening(trial: Trial) -> None:
    """Every container: no root, nothing writable, no capability, no more networks than its role needs."""
    expected = {
        "broker": {"broker", "clients"},
        "scheduler": {"broker"},
        "beat": {"broker"},
        "key-broker": {"broker", "kms"},
        "backup": {"broker", "store"},
        "restore": {"broker", "store"},
        "maintenance": {"broker", "store"},
        "flower": {"broker", "watch"},
        "prometheus": {"watch"},
    }
    for service, networks in expected.items():
        for container in trial.containers(service):
            (found,) = json.loads(run(trial.docker, "inspect", container))
            host = found["HostConfig"]
            facts = {
                "user": found["Config"]["User"].startswith(str(UID)),
                "read-only": host["ReadonlyRootfs"] and not trial.inside(container, "touch", "/x"),
                "capabilities": host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"],
                "privileges": "no-new-privileges:true" in host["SecurityOpt"],
                "networks": {name.rpartition("_")[2] for name in found["NetworkSettings"]["Networks"]}
                == networks,
            }
            if not all(facts.values()):
                raise Failed(f"{service}: {[name for name, holds in facts.items() if not holds]}")
    say("every container: unprivileged user, read-only root, no capabilities, only its networks")


def check_networks(trial: Trial) -> None:
    """Something listens on a network; exactly the roles that belong there reach it."""
    for network, members in (("kms", {"key-broker"}), ("store", {"backup", "restore", "maintenance"})):
        run(
            *(
                trial.docker,
                "run",
                "-d",
                "--rm",
                "--name",
                "strongroom-trial-probe",
                "--network-alias",
                "probe",
            ),
            *("--network", f"strongroom-trial_{network}", "--entrypoint", "python3", "strongroom"),
            *("-m", "http.server", "8000"),
        )
        try:
            first = trial.containers(min(members))[0]
            wait_for("the probe", lambda at=first: trial.inside(at, "python3", "-c", PROBE), 30)  # type: ignore[misc]
            reached = {
                role for role in ROLES if trial.inside(trial.containers(role)[0], "python3", "-c", PROBE)
            }
        finally:
            run(trial.docker, "rm", "-f", "strongroom-trial-probe")
        if reached != members:
            raise Failed(f"the network {network} is reached by {reached}, not by {members}")
        say(f"the network {network} is reached by {', '.join(sorted(members))}, and by nobody else")


def check_s3(trial: Trial) -> None:
    """The local S3 answers those who may ask it."""
    trial.compose("--profile", "s3", "up", "-d", "--no-recreate", "s3")
    probe = PROBE.replace("'probe', 8000", "'s3', 8333")
    worker, broker = trial.containers("backup")[0], trial.containers("key-broker")[0]
    wait_for("the local S3", lambda: trial.inside(worker, "python3", "-c", probe), READY_S)
    if trial.inside(broker, "python3", "-c", probe):
        raise Failed("the key-broker reaches the store")
    say("the local S3 answers the workers")


def write_tree(folder: Path, total: int, per_file: int) -> None:
    """Text that does not deduplicate and compresses a little."""
    folder.mkdir(parents=True)
    for number in range(total // per_file):
        (folder / f"{number:04}.txt").write_bytes(base64.b64encode(os.urandom(per_file * 3 // 4)))


def digest_of(folder: Path) -> str:
    """One digest over names and content."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found.update(os.fsencode(path.relative_to(folder)))
        if path.is_file():
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def back_up_and_restore(trial: Trial) -> None:
    """From a client that reaches nothing but the broker, byte for byte."""
    tree = trial.folder / "source/small"
    write_tree(tree, 4_000_000, 40_000)
    trial.client(
        "vault",
        "create",
        "documents",
        "--repo",
        "file:///repositories/documents",
        "--kms",
        "local-kms://documents",
    )
    done = trial.client("backup", "documents", "/source/small")
    back = trial.client("restore", "documents", "latest:/source/small", "--target", "/restored/small")
    volume = run(
        trial.docker, "volume", "inspect", "--format", "{{.Mountpoint}}", "strongroom-trial_restored"
    )
    if digest_of(tree) != digest_of(Path(volume) / "small") or back["errors"] or done["errors"]:
        raise Failed(f"restored otherwise than backed up: {done} {back}")
    say(f"{done['files']} files backed up and restored by a client on another network, byte for byte")
    if trial.client("check", "documents")["errors"]:
        raise Failed("check found errors")


def add_vault(trial: Trial, name: str) -> None:
    """A vault is registered while everything runs; the copies of the registry are renewed."""
    words = ("--repo", f"file:///repositories/{name}", "--kms", f"local-kms://{name}")
    trial.admin("key-broker", "vault", "add", name, *words)
    trial.admin("key-broker", "registry", "export", "/state/registry.copy")
    for host in ("scheduler", "backup", "restore", "maintenance", "client"):
        trial.admin(host, "registry", "import", "/state/registry.copy")
    trial.client("vault", "create", name, *words)


def scale(trial: Trial) -> None:
    """The same data with one backup worker and with three, and who did how many segments."""
    write_tree(trial.folder / "source/large", SPREAD_BYTES, 10_000_000)
    seconds, before = {}, spread(trial)
    for workers in (1, 3):
        trial.compose("up", "-d", "--scale", f"backup={workers}", "--no-recreate")
        trial.wait_healthy()
        add_vault(trial, f"large{workers}")
        done = trial.client("backup", f"large{workers}", "/source/large")
        seconds[workers] = done["seconds"]
        after = spread(trial)
        segments, before = after - before, after
        say(
            f"backup workers: {workers}; {done['bytes'] / 1e9:.1f} GB in {done['seconds']:.1f} s; "
            f"segments by worker: {dict(segments)}"
        )
    say(f"speed-up with three workers on {os.cpu_count()} processors: {seconds[1] / seconds[3]:.2f}")
    if len(segments) < 3:
        raise Failed("the segments were not spread over three workers")


def spread(trial: Trial) -> Counter[str]:
    """Segments by worker, as Flower saw them over TLS."""
    state = trial.folder / "deploy/compose/state"
    context = ssl.create_default_context(cafile=str(state / "pki/ca.crt"))
    login = f"strongroom:{(state / 'flower.password').read_text().strip()}"
    request = urllib.request.Request(
        f"https://localhost:{FLOWER_PORT}/api/tasks?limit=10000",
        headers={"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"},
    )
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        tasks = json.load(answer)
    return Counter(each["worker"] for each in tasks.values() if each["name"] == "backup.segment")


def check_prometheus(trial: Trial) -> None:
    """Prometheus reads Flower over TLS."""

    def up() -> bool:
        try:
            with urllib.request.urlopen(
                f"http://localhost:{PROMETHEUS_PORT}/api/v1/query?query=up", timeout=5
            ) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            return False
        return [each["value"][1] for each in found] == ["1"]

    wait_for("Prometheus with Flower's numbers", up, 60)
    say("Prometheus reads Flower over TLS")


def play(trial: Trial) -> None:
    """Everything between building and taking down."""
    say(trial.compose("run", "--rm", "-T", "setup").splitlines()[-1])
    trial.compose("up", "-d")
    trial.wait_healthy()
    say("up and healthy")
    check_hardening(trial)
    check_networks(trial)
    back_up_and_restore(trial)
    check_prometheus(trial)
    check_s3(trial)
    scale(trial)


def main() -> int:
    """The whole trial; 0 when everything was as it must be."""
    try:
        docker = docker_command()
        with ExitStack() as cleanup:
            cleanup.enter_context(engine(docker))
            have_images(docker)
            folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="strongroom-trial-")))
            folder.chmod(0o755)
            trial = Trial(docker, folder)
            cleanup.callback(lambda: trial.compose("down", "-v", "--remove-orphans", "-t", "10", check=False))
            try:
                play(trial)
            except Failed:
                say(trial.compose("logs", "--no-color", "--tail", "20", check=False))
                raise
        say("taken down; all is well")
    except Failed as error:
        print(f"compose-test failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
