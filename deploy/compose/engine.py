"""What the trial stands on: a Docker engine, and the images of docker-compose.yml where no registry can be reached."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

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
    """A docker command that can build with secrets.

    Raises:
        Failed: there is none.
    """
    for candidate in ("docker", "/usr/bin/docker"):
        if shutil.which(candidate) and "--secret" in run(
            candidate, "build", "--help", check=False, env={"DOCKER_BUILDKIT": "1"}
        ):
            return candidate
    raise Failed("no docker command with BuildKit here: apt-get install docker.io docker-compose debootstrap")


@contextmanager
def engine(docker: str) -> Iterator[None]:
    """A running engine: the one that is there, or as root one of our own until the end.

    Raises:
        Failed: none answers, and none can be started.
    """
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
