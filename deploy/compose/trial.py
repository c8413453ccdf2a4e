"""`make compose-test`: docker-compose.yml for real, from building the image to taking everything down again.

Backs up into the local S3 and restores from a client on a network of its own, once under a CMK of the local KMS and
once under one of the strict fake of AWS KMS (`deploy/compose/trial.yml`); tries what each container must not reach and
must not do; scales the backup workers and shows who did what. Needs Docker and docker-compose; as root, starts an
engine of its own when none runs (Debian: docker.io, docker-compose, debootstrap). Where no registry can be reached, the
base image is made with debootstrap under its name, and Valkey and Prometheus are Debian's.
"""

import base64
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from deploy.compose.engine import ROOT, Failed, docker_command, engine, have_images, run, say, wait_for

UID: Final = 10001
FLOWER_PORT: Final = 15555
PROMETHEUS_PORT: Final = 19090
READY_S: Final = 180
MAX_RESTARTS: Final = 3
SPREAD_BYTES: Final = 1_000_000_000
WORKER_CPUS: Final = "0.25"
"""Processors of a backup worker: three of them and the local S3 share a machine that may have two."""
ROLES: Final = ("scheduler", "beat", "key-broker", "backup", "restore", "maintenance", "flower")
STORE: Final = "endpoint=https://s3:8333&region=us-east-1&ca=/run/secrets/ca.crt"
"""How containers reach the local S3."""
PROBE: Final = "import socket; socket.create_connection(('probe', 8000), 3).close()"

REFUSALS: Final = {
    "backup": (
        "delete_object(Bucket='repository', Key=key)",
        "put_object(Bucket='delivery', Key='parcels/x')",
    ),
    "restore": (
        "put_object(Bucket='repository', Key='documents/packs/x', IfNoneMatch='*')",
        "delete_object(Bucket='repository', Key=key)",
    ),
    "maintenance": (
        "delete_object(Bucket='repository', Key='documents/keys/chunk-id')",
        "put_object(Bucket='repository', Key='documents/keys/dek-00000009', IfNoneMatch='*')",
    ),
    "client": (
        "get_object(Bucket='repository', Key=key)",
        "list_objects_v2(Bucket='repository', Prefix='documents/')",
    ),
}
"""What each role tries in the local S3 with its own keys, and must not be let; `key` is a pack of the repository."""
PYTHON: Final = "/opt/strongroom/.venv/bin/python"
# As the workers' own client: the local S3 denies all writes whose checksum follows the body, whatever the policy.
CLIENT: Final = """
import boto3, botocore.config, botocore.exceptions, sys
config = botocore.config.Config(request_checksum_calculation="when_required")
client = boto3.client(
    "s3", endpoint_url="https://s3:8333", verify="/run/secrets/ca.crt", region_name="us-east-1", config=config
)
"""
FIRST_PACK: Final = (
    CLIENT
    + """
found = client.list_objects_v2(Bucket="repository", Prefix=sys.argv[1], MaxKeys=1)
print(found["Contents"][0]["Key"])
"""
)
CONTROL: Final = CLIENT + "client.put_object(Bucket='delivery', Key='parcels/control')"
"""What the restore worker may: so it is not the words in which the others try it that are refused."""
ATTEMPT: Final = (
    CLIENT
    + """
key = sys.argv[2]
try:
    eval("client." + sys.argv[1])
except botocore.exceptions.ClientError as error:
    sys.exit(0 if error.response["Error"]["Code"] == "AccessDenied" else f"another refusal: {error}")
sys.exit("it was let through")
"""
)


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
        for part in ("tests/aws", "deploy/iam"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("source", "deploy/compose/state", "deploy/compose/state/aws"):
            (folder / name).mkdir(mode=0o755)
            os.chown(folder / name, UID, UID)
        self.environment = {
            "COMPOSE_PROJECT_NAME": "strongroom-trial",
            "COMPOSE_FILE": "docker-compose.yml:deploy/compose/trial.yml",
            "STRONGROOM_SOURCE": str(folder / "source"),
            "STRONGROOM_FLOWER_PORT": str(FLOWER_PORT),
            "STRONGROOM_PROMETHEUS_PORT": str(PROMETHEUS_PORT),
            "STRONGROOM_BACKUP_PROCESSES": "1",
            "STRONGROOM_TRIAL_CPUS": WORKER_CPUS,
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

    def a_pack(self, vault: str) -> str:
        """The key of some pack of a vault in the local S3, from its administrator."""
        words = ("run", "--rm", "-T", "--entrypoint", PYTHON, "buckets", "-c", FIRST_PACK, f"{vault}/packs/")
        return self.compose(*words).splitlines()[-1]

    def containers(self, service: str) -> list[str]:
        """Ids of a service's containers."""
        return self.compose("ps", "-q", service).split()

    def inside(self, container: str, *words: str) -> bool:
        """Whether a command succeeds in a container."""
        done = subprocess.run([self.docker, "exec", container, *words], capture_output=True, check=False)
        return done.returncode == 0

    def wait_healthy(self) -> None:
        """Wait until every container is healthy; raises Failed when one is not in time, or does not stay up."""

        def healthy() -> bool:
            ids = self.compose("ps", "-q").split()
            found = [
                each
                for each in (json.loads(run(self.docker, "inspect", *ids)) if ids else [])
                if each["State"]["Status"] != "exited" or each["State"]["ExitCode"]
            ]
            if any(each["RestartCount"] > MAX_RESTARTS for each in found):
                raise Failed("a container does not stay up")
            states = {each["State"].get("Health", each["State"])["Status"] for each in found}
            return bool(found) and states <= {"healthy", "running"}

        wait_for("a healthy installation", healthy, READY_S)


def check_hardening(trial: Trial) -> None:
    """Raises Failed unless each container has no root, no capability, nothing writable, only its networks."""
    expected = {
        "broker": {"broker", "clients"},
        "scheduler": {"broker"},
        "beat": {"broker"},
        "key-broker": {"broker", "kms"},
        "s3": {"store", "clients"},
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
    """Something listens on a network; raises Failed unless exactly the roles that belong there reach it."""
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


def check_store(trial: Trial) -> None:
    """Each role's keys for the local S3 are good for what the role does, and for nothing else."""
    pack = trial.a_pack("documents")
    run(trial.docker, "exec", trial.containers("restore")[0], PYTHON, "-c", CONTROL)
    for role, calls in REFUSALS.items():
        for call in calls:
            words = (PYTHON, "-c", ATTEMPT, call, pack)
            if role == "client":
                trial.compose("run", "--rm", "-T", "--entrypoint", PYTHON, role, *words[1:])
            else:
                run(trial.docker, "exec", trial.containers(role)[0], *words)
            say(f"the S3 refuses the role {role}: {call}")


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


def back_up_and_restore(trial: Trial, vault: str) -> None:
    """From a client that reaches the broker and its parcels alone; raises Failed unless byte for byte."""
    tree = trial.folder / "source" / vault
    write_tree(tree, 4_000_000, 40_000)
    done = trial.client("backup", vault, f"/source/{vault}")
    back = trial.client("restore", vault, f"latest:/source/{vault}", "--target", f"/restored/{vault}")
    volume = run(
        trial.docker, "volume", "inspect", "--format", "{{.Mountpoint}}", "strongroom-trial_restored"
    )
    if digest_of(tree) != digest_of(Path(volume) / vault) or back["errors"] or done["errors"]:
        raise Failed(f"restored otherwise than backed up: {done} {back}")
    say(
        f"{vault}: {done['files']} files backed up and restored by a client on another network, byte for byte"
    )
    if trial.client("check", vault)["errors"]:
        raise Failed("check found errors")


def use_aws(trial: Trial) -> None:
    """A vault under a CMK of the strict fake of AWS KMS, over TLS; raises Failed where that refused a call."""
    uri = (trial.folder / "deploy/compose/state/aws/uri").read_text().strip()
    add_vault(trial, "cloud", uri)
    back_up_and_restore(trial, "cloud")
    # Compose 1 puts the service's name before each line.
    lines = trial.compose("logs", "--no-color", "aws").splitlines()
    events = [json.loads(line[line.index("{") :]) for line in lines if '"operation"' in line]
    used = Counter(event["operation"] for event in events)
    if not {"AssumeRole", "GenerateDataKey", "Decrypt"} <= set(used) or any(
        event["error"] for event in events
    ):
        raise Failed(f"AWS saw: {used} {[event['error'] for event in events]}")
    say(f"a vault under a CMK of AWS KMS (the strict fake, over TLS): {dict(used)}")


def add_vault(trial: Trial, name: str, kms: str) -> None:
    """A vault is registered while everything runs; the copies of the registry are renewed."""
    words = ("--repo", f"s3://repository/{name}?{STORE}", "--kms", kms)
    trial.admin("key-broker", "vault", "add", name, *words)
    trial.admin("key-broker", "registry", "export", "/state/registry.copy")
    for host in ("scheduler", "backup", "restore", "maintenance", "client"):
        trial.admin(host, "registry", "import", "/state/registry.copy")
    trial.client("vault", "create", name, *words)


def scale(trial: Trial) -> None:
    """The same data with one backup worker and with three; raises Failed unless all three did segments."""
    write_tree(trial.folder / "source/large", SPREAD_BYTES, 10_000_000)
    seconds, before = {}, spread(trial)
    for workers in (1, 3):
        trial.compose("up", "-d", "--scale", f"backup={workers}", "--no-recreate")
        trial.wait_healthy()
        add_vault(trial, f"large{workers}", "local-kms://large")
        done = trial.client("backup", f"large{workers}", "/source/large")
        seconds[workers] = done["seconds"]
        after = spread(trial)
        segments, before = after - before, after
        say(
            f"backup workers: {workers}; {done['bytes'] / 1e9:.1f} GB in {done['seconds']:.1f} s; "
            f"segments by worker: {dict(segments)}"
        )
    say(f"speed-up with three workers of {WORKER_CPUS} processors each: {seconds[1] / seconds[3]:.2f}")
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
    trial.admin("key-broker", "pki", "issue", "/state/pki", "server-aws", "--host", "aws")
    (vault,) = trial.admin("client", "vault", "list")
    trial.environment["STRONGROOM_TRIAL_TENANT"] = vault["tenant"]
    trial.compose("up", "-d")
    trial.wait_healthy()
    trial.compose("run", "--rm", "-T", "buckets")
    say("up and healthy")
    check_hardening(trial)
    check_networks(trial)
    trial.client(
        *("vault", "create", "documents", "--repo", f"s3://repository/documents?{STORE}"),
        *("--kms", "local-kms://documents"),
    )
    back_up_and_restore(trial, "documents")
    check_store(trial)
    use_aws(trial)
    check_prometheus(trial)
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
