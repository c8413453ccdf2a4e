"""An installation on several hosts, as far as one machine can show it.

Each host is a home of its own with its own identity, certificate and broker user; nothing but files that an
administrator carries, a TLS port and the repository is shared. The commands are the real ones.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.installation import python_command
from tests.config.acl_server import REDIS_SERVER
from tests.ports import port_of, reserve
from tests.tls_front import ADDRESSES, TlsFront
from workers.stack.valkey import Valkey

READY_S = 60.0


@dataclass
class Host:
    """One home; `run` runs the command there, with further variables.

    Attributes:
        inside: words before each command, for a host with a network of its own.
        broker: the address of the broker, seen from there.
    """

    home: Path
    variables: dict[str, str] = field(default_factory=dict)
    inside: tuple[str, ...] = ()
    broker: str = "localhost"

    def run(
        self, *words: str, code: int = 0, module: str = "client.main"
    ) -> subprocess.CompletedProcess[str]:
        command, environment = python_command(module, *words)
        done = subprocess.run(
            [*self.inside, *command],
            env=self.environment(environment),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        return done

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code).stdout.splitlines()[-1])

    def environment(self, base: dict[str, str]) -> dict[str, str]:
        """Only this home; somebody else's broker in CELERY_BROKER_URL must be ignored."""
        return {
            **base,
            "STRONGROOM_HOME": str(self.home),
            "CELERY_BROKER_URL": "redis://localhost:1/0",
            **self.variables,
        }


@dataclass
class Running:
    """A role in the foreground."""

    process: subprocess.Popen[bytes]
    alive: Path
    log: Path

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while not self.alive.exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@dataclass
class Site:
    """All hosts and what the administrator has: a CA, the broker's users, the registry.

    Args:
        root: of everything.
        hosts: with backup workers of their own.
    """

    root: Path
    hosts: tuple[str, ...]
    addresses: tuple[str, ...] = ADDRESSES
    """Where the broker listens."""
    names: tuple[str, ...] = ()
    """In its certificate, beside localhost."""
    port: int = 0
    running: dict[str, Running] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pki, self.users = self.root / "pki", self.root / "broker"
        self.admin = Host(self.root / "admin")
        """Where the registry is kept and the key-broker runs."""
        more = ["--redis-7.0"] if REDIS_SERVER else []
        names = [part for host in self.hosts for part in ("--host", host)]
        reached = ("localhost", *self.names) if self.names else ()
        self.admin.run("pki", "init", str(self.pki), *(f"--broker-host={name}" for name in reached))
        self.admin.run("acl", str(self.users), *names, *more)
        self.admin.run("registry", "new")

    @contextmanager
    def broker(self) -> Iterator[None]:
        """A server that speaks TLS with clients that have a certificate, with the product's users."""
        server = _redis(self) if REDIS_SERVER else _valkey(self)
        with server as self.port:
            yield

    def host(
        self,
        name: str,
        role: str,
        *,
        station: str = "",
        settings: str = "",
        inside: tuple[str, ...] = (),
        broker: str = "localhost",
    ) -> Host:
        """A home for one role, with its certificate, its password and an identity if the role has one."""
        made = Host(self.root / name, inside=inside, broker=broker)
        made.home.mkdir(mode=0o700)
        certificate = role if role in {path.stem for path in self.pki.glob("*.crt")} else "client"
        for source, target in (
            (self.pki / "ca.crt", "ca.crt"),
            (self.pki / f"{certificate}.crt", "tls.crt"),
            (self.pki / f"{certificate}.key", "tls.key"),
            (self.users / f"{station or role}.password", "password"),
        ):
            shutil.copy(source, made.home / target)
        self.configure(made, settings)
        return made

    def configure(self, host: Host, settings: str = "") -> None:
        """Write the settings of a host."""
        home = host.home
        (home / "config.toml").write_text(
            f'[broker]\nurl = "rediss://{host.broker}:{self.port}/0"\nca_file = "{home}/ca.crt"\n'
            f'cert_file = "{home}/tls.crt"\nkey_file = "{home}/tls.key"\npassword_file = "{home}/password"\n'
            + settings
        )

    def enrol(self, host: Host, role: str, *words: str) -> str:
        """An identity, made on its host, carried to the registry, compared, enrolled; returns its id."""
        name = host.home.name
        made = host.json("identity", "new", "--role", role, "--name", name)
        shutil.copy(made["public"], self.root / f"{name}.pub")
        shown = self.admin.json("identity", "show", str(self.root / f"{name}.pub"))
        assert shown["fingerprint"] == made["fingerprint"]
        enrolled = self.admin.json("enrol", str(self.root / f"{name}.pub"), "--role", role, *words)
        assert enrolled["id"] == made["id"]
        return str(made["id"])

    def spread_registry(self, *hosts: Host) -> None:
        """Carry a copy of the registry to each host."""
        exported = self.admin.json("registry", "export", str(self.root / "registry.copy"))
        for host in hosts:
            copy = str(self.root / "registry.copy")
            host.run("registry", "import", copy, "--fingerprint", exported["fingerprint"])

    def start(self, host: Host, role: str, *words: str) -> Running:
        """Run a role on a host, in the foreground."""
        command, environment = python_command("client.main", "worker", "--role", role, *words)
        log = host.home / f"{role}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*host.inside, *command],
                env=host.environment(environment),
                cwd="/",
                stdout=output,
                stderr=output,
            )
        queue = words[words.index("--queue") + 1] if "--queue" in words else role
        running = Running(process, host.home / "run" / f"{queue}.alive", log)
        self.running[host.home.name] = running
        return running

    def stop(self) -> dict[str, int]:
        """Stop every role; exit codes by host."""
        return {name: running.stop() for name, running in self.running.items()}


@contextmanager
def _valkey(site: Site) -> Iterator[int]:
    folder = site.root / "v"
    folder.mkdir(mode=0o700)
    valkey = Valkey(folder, folder / "valkey.log")
    valkey.configure({}, extra_acl=(site.users / "users.acl").read_text().partition("\n")[2])
    pid = valkey.start()
    valkey.wait(pid)
    front = TlsFront(
        valkey.socket,
        site.pki / "ca.crt",
        site.pki / "server-broker.crt",
        site.pki / "server-broker.key",
        site.addresses,
    )
    try:
        yield front.port
    finally:
        front.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@contextmanager
def _redis(site: Site) -> Iterator[int]:
    held = reserve()
    port = port_of(held)
    options = {
        "--port": "0",
        "--tls-port": str(port),
        "--bind": " ".join(site.addresses),
        "--tls-ca-cert-file": str(site.pki / "ca.crt"),
        "--tls-cert-file": str(site.pki / "server-broker.crt"),
        "--tls-key-file": str(site.pki / "server-broker.key"),
        "--aclfile": str(site.users / "users.acl"),
        "--dir": str(site.root),
        "--save": "",
    }
    with (site.root / "redis.log").open("wb") as log:
        process = subprocess.Popen(
            [REDIS_SERVER, *(part for pair in options.items() for part in pair)], stdout=log
        )
    try:
        yield port
    finally:
        process.kill()
        process.wait()
        held.close()
