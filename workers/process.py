"""What one worker process holds: its identity, its one-time keys, its key cache. Made after the fork, never before."""

import gc
import logging
import threading
import time
from pathlib import Path

from config.errors import ConfigError
from config.home import Home
from config.queues import station
from crypto.certificate import ProcessKeys
from crypto.dek_cache import DekCache
from crypto.errors import Malformed
from crypto.identity import Identity
from crypto.registry import MAX_REGISTRY, Registry
from workers.lists import Lists
from workers.serve import RoleContext

logger = logging.getLogger(__name__)

SWEEP_S = 1.0
MAX_IDENTITY_FILE = 64 * 1024
_NO_REGISTRY = (
    "take a copy from where it is kept: strongroom registry import FILE; on one machine: strongroom init"
)


def now_ms() -> int:
    """The wall clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def read_file(path: Path, limit: int, remedy: str) -> bytes:
    """A small file of the installation; `remedy` says how to come by it.

    Raises:
        ConfigError: it cannot be read or is larger than `limit`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", remedy=remedy) from error
    if len(data) > limit:
        raise ConfigError(f"{path} is larger than such a file can be", remedy=remedy)
    return data


def load_identity(home: Home, role: str) -> Identity:
    """The private identity of a role on this host.

    Raises:
        ConfigError: there is none, or it is damaged; names the file and the command that makes it.
    """
    path = home.identities / role
    remedy = (
        f"bring the file back, or make one and enrol it: strongroom identity new --role {role} --name NAME"
    )
    try:
        return Identity.decode(read_file(path, MAX_IDENTITY_FILE, remedy))
    except Malformed as error:
        raise ConfigError(f"{path} is no identity: {error.message}", remedy=remedy) from error


class RegistryFile:
    """The registry on disk, read again when it changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._registry = Registry()

    def current(self) -> Registry:
        """The registry as it is now.

        Raises:
            ConfigError, Malformed: it cannot be read.
        """
        try:
            found = self._path.stat()
        except OSError as error:
            raise ConfigError(f"cannot read {self._path}: {error.strerror}", remedy=_NO_REGISTRY) from error
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._stamp:
            self._registry = Registry.decode(read_file(self._path, MAX_REGISTRY, _NO_REGISTRY))
            self._stamp = stamp
        return self._registry


class Process:
    """The state of one worker process. Construct it in the parent, `start` it in each pool process.

    Args:
        context: what the supervisor gave to the role.
    """

    def __init__(self, context: RoleContext) -> None:
        self.role = context.role
        self.settings = context.settings
        self.home = context.home
        self.station = station(context.role, context.host)
        self._broker_url = context.broker_url
        self._registry = RegistryFile(context.home.registry_file)
        self._keys: ProcessKeys | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Make this process's keys and connections; begin to sweep the key cache."""
        # A segment makes some hundred thousand small objects and no cycles: collecting them often is time lost.
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        self.identity = load_identity(self.home, self.role)
        self.lists = Lists(self._broker_url, self.settings.broker)
        self.cache = DekCache(max_age_s=self.settings.cache.max_age_s)
        threading.Thread(target=self._sweep, name="dek-cache", daemon=True).start()

    def stop(self) -> None:
        """Wipe the keys and close the connections."""
        self._stopping.set()
        self.cache.clear()
        self.lists.close()

    def registry(self) -> Registry:
        """Who is enrolled now."""
        return self._registry.current()

    def keys(self) -> ProcessKeys:
        """This process's certified keys, renewed before they expire."""
        now = now_ms()
        if self._keys is None or self._keys.due(now):
            self._keys = ProcessKeys(self.identity, self.role, now)
        return self._keys

    def _sweep(self) -> None:
        while not self._stopping.wait(SWEEP_S):
            self.cache.sweep()
