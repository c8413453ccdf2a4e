"""The supervisor: one thread, one loop; starts server and roles, restarts what dies, leaves nothing behind.

It holds no key and speaks to no KMS; what it knows of secrets are the broker passwords of its own run.
"""

import gc
import os
import selectors
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from config import queues
from config.home import Home
from config.settings import Settings
from config.stack_file import StackInfo
from workers.role import RoleContext
from workers.stack.errors import RoleFailed, StackError
from workers.stack.passwords import Passwords
from workers.stack.processes import fork
from workers.stack.roles import Role, become
from workers.stack.valkey import Valkey

START_TIMEOUT_S = 20.0
# Deaths before it was ever ready, after which a role counts as unable to start.
MAX_START_DEATHS = 3
FIRST_RESTART_S = 0.1
MAX_RESTART_S = 30.0
# A process that lived this long has recovered: its next restart is quick again.
HEALTHY_S = 10.0
# Between SIGTERM and SIGKILL; longer than config.celery_settings.SOFT_SHUTDOWN_S.
STOP_S = 4.0
# When the command has ended nothing is left to finish, and no message outlives the server.
ONE_SHOT_STOP_S = 0.3
SERVER_STOP_S = 2.0
SERVER = "valkey"


@dataclass
class Child:
    """One process of the stack, living or waiting to be started again."""

    name: str
    start: Callable[[], int]
    pid: int = 0
    started: float = 0.0
    deaths: int = 0
    restart_at: float = 0.0
    ready: bool = False


@dataclass
class Supervisor:
    """A running stack.

    Args:
        home: created.
        settings: of the installation.
        roles: the processes besides the server.
        folder: private, for the socket.
        passwords: with the client's and each role's.
        one_shot: told to the roles.
        watch: descriptors that become readable when nobody needs the stack any more.
        log: for a line per event.
    """

    home: Home
    settings: Settings
    roles: tuple[Role, ...]
    folder: Path
    passwords: Passwords
    one_shot: bool
    watch: tuple[int, ...]
    log: Callable[[str], None]
    _children: dict[str, Child] = field(default_factory=dict)
    _ready_pipes: dict[int, str] = field(default_factory=dict)
    _stopping: bool = False

    def __post_init__(self) -> None:
        self._server = Valkey(self.folder, self.home.logs / "valkey.log")
        self._wake_read, self._wake_write = socket.socketpair()

    def start(self, prepare: Callable[[], None]) -> StackInfo:
        """Start everything and wait until every role serves.

        Args:
            prepare: run while the server starts: imports what the roles share.

        Raises:
            ServerFailed, RoleFailed: something does not start; `stop` has to be called in any case.
            StackError: it takes too long, or nobody waits for it any more.
        """
        begun = time.monotonic()
        self._listen_to_signals()
        self._server.configure(self.passwords)
        server = self._add(SERVER, self._server.start)
        prepare()
        prepared = time.monotonic()
        if threading.active_count() != 1:
            raise StackError("something started a thread before the roles were forked", remedy="report this")
        # Pages of objects that the roles share stay shared: the collector does not touch them.
        gc.collect()
        gc.freeze()
        self._server.wait(server.pid)
        server.ready = True
        served = time.monotonic()
        for role in self.roles:
            self._add(role.name, lambda role=role: self._fork_role(role))  # type: ignore[misc]
        deadline = begun + START_TIMEOUT_S
        while not all(child.ready for child in self._children.values()):
            if time.monotonic() > deadline:
                late = ", ".join(child.name for child in self._children.values() if not child.ready)
                raise StackError(f"not ready in time: {late}", remedy=f"see the logs in {self.home.logs}")
            self._step(deadline)
            self._check_started()
            if self._stopping:
                raise StackError("stopped while starting")
        done = time.monotonic()
        self.log(
            f"ready in {done - begun:.2f} s: imports {prepared - begun:.2f}, waiting for the server"
            f" {served - prepared:.2f}, roles {done - served:.2f}"
        )
        return StackInfo(
            pid=os.getpid(),
            broker_url=self._server.url(queues.CLIENT, self.passwords[queues.CLIENT]),
            started_ms=time.time_ns() // 1_000_000,
            seconds=round(done - begun, 3),
        )

    def run(self) -> None:
        """Keep everything running until a signal, or until a watched descriptor says that nobody needs it."""
        while not self._stopping:
            self._step(None)

    def stop(self) -> None:
        """End every process: roles first, in order if they can, then the server. Never leaves one."""
        self._stopping = True
        patience = ONE_SHOT_STOP_S if self.one_shot else STOP_S
        self._end([child for child in self._children.values() if child.name != SERVER], patience)
        self._end([child for child in self._children.values() if child.name == SERVER], SERVER_STOP_S)
        self.passwords.keep_only(None)

    def _add(self, name: str, start: Callable[[], int]) -> Child:
        child = self._children[name] = Child(name, start)
        self._start(child)
        return child

    def _start(self, child: Child) -> None:
        child.started = time.monotonic()
        child.restart_at = 0.0
        child.pid = child.start()

    def _fork_role(self, role: Role) -> int:
        readable, writable = os.pipe()

        def main() -> None:
            self.passwords.keep_only(role.name)
            # What a role has no time to remove is removed with the folder.
            tempfile.tempdir = str(self.folder)
            become(role, self._context(role, writable))

        pid = fork(main, log=self.home.logs / f"{role.name}.log", keep=(writable,))
        os.close(writable)
        self._ready_pipes[readable] = role.name
        return pid

    def _context(self, role: Role, ready_pipe: int) -> RoleContext:
        pid = os.getpid()

        def ready() -> None:
            # Pool processes inherit this function: only the role itself may speak for it.
            if os.getpid() == pid:
                os.write(ready_pipe, b"1")

        settings = self.settings
        if role.name != queues.MONITOR:
            settings = msgspec.structs.replace(
                settings, monitor=msgspec.structs.replace(settings.monitor, flower_password="")
            )
        return RoleContext(
            role=role.name,
            home=self.home,
            settings=settings,
            broker_url=self._server.url(role.name, self.passwords[role.name]),
            ready=ready,
            one_shot=self.one_shot,
        )

    def _step(self, deadline: float | None) -> None:
        """Wait for the next thing to happen, and deal with it."""
        due = [child.restart_at for child in self._children.values() if not child.pid]
        if deadline is not None:
            due.append(deadline)
        wait = max(0.0, min(due) - time.monotonic()) if due else None
        # `select` would refuse descriptors above 1023, which whoever starts the stack may hand down.
        with selectors.PollSelector() as selector:
            for descriptor in (self._wake_read.fileno(), *self.watch, *self._ready_pipes):
                selector.register(descriptor, selectors.EVENT_READ)
            readable = [key.fd for key, _ in selector.select(wait)]
        if any(descriptor in self.watch for descriptor in readable):
            self.log("nobody needs the stack any more")
            self._stopping = True
        if self._wake_read.fileno() in readable:
            self._read_signals()
        for descriptor in readable:
            if descriptor in self._ready_pipes:
                self._read_ready(descriptor)
        self._reap()
        if not self._stopping:
            self._restart_due()

    def _read_signals(self) -> None:
        numbers = self._wake_read.recv(4096)
        if any(number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) for number in numbers):
            self.log("asked to stop")
            self._stopping = True

    def _read_ready(self, descriptor: int) -> None:
        """A byte: the role serves. The end of the file: it is dead, which `_reap` deals with."""
        if os.read(descriptor, 64):
            child = self._children[self._ready_pipes[descriptor]]
            child.ready = True
            self.log(f"{child.name} serves after {time.monotonic() - child.started:.2f} s")
            return
        os.close(descriptor)
        del self._ready_pipes[descriptor]

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for child in self._children.values():
                if child.pid == pid:
                    self._note_death(child, os.waitstatus_to_exitcode(status))

    def _note_death(self, child: Child, code: int) -> None:
        child.pid = 0
        if time.monotonic() - child.started > HEALTHY_S:
            child.deaths = 0
        child.deaths += 1
        delay = min(FIRST_RESTART_S * 2 ** (child.deaths - 1), MAX_RESTART_S)
        child.restart_at = time.monotonic() + delay
        if not self._stopping:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self.log(f"{child.name} died ({how}), starts again in {delay:.1f} s")

    def _restart_due(self) -> None:
        for child in self._children.values():
            if not child.pid and time.monotonic() >= child.restart_at:
                self._start(child)
                self.log(f"{child.name} started again")

    def _check_started(self) -> None:
        for child in self._children.values():
            if not child.ready and child.deaths >= MAX_START_DEATHS:
                raise RoleFailed(
                    f"the {child.name} role does not start", remedy=f"see {self.home.logs / child.name}.log"
                )

    def _listen_to_signals(self) -> None:
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            # The number arrives through the wake-up descriptor; without a handler there would be none.
            signal.signal(number, lambda *_: None)

    def _end(self, children: list[Child], patience: float) -> None:
        _signal(children, signal.SIGTERM)
        deadline = time.monotonic() + patience
        while any(child.pid for child in children) and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.005)
        _signal(children, signal.SIGKILL)
        for child in children:
            if child.pid:
                os.waitpid(child.pid, 0)
                child.pid = 0


def _signal(children: list[Child], number: signal.Signals) -> None:
    for child in children:
        if child.pid:
            os.kill(child.pid, number)
