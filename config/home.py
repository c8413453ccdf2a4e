"""Where one installation keeps its state: every path below STRONGROOM_HOME, owner-only."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from config.errors import ConfigError

OWNER_ONLY_DIR = 0o700
OWNER_ONLY_FILE = 0o600


@dataclass(frozen=True)
class Home:
    """The state folder of one installation; a value, so that tests and roles may have several.

    Args:
        root: the folder that STRONGROOM_HOME names.
    """

    root: Path

    @classmethod
    def from_env(cls) -> "Home":
        """The home that STRONGROOM_HOME names, `~/.strongroom` without it.

        Raises:
            ConfigError: STRONGROOM_HOME is a relative path, which would move with the working folder.
        """
        named = os.environ.get("STRONGROOM_HOME", "")
        root = Path(named).expanduser() if named else Path.home() / ".strongroom"
        if not root.is_absolute():
            raise ConfigError(
                f"STRONGROOM_HOME is not an absolute path: {named}", remedy="give it as /absolute/path"
            )
        return cls(root)

    @property
    def settings_file(self) -> Path:
        """The settings, TOML; see `config.settings`."""
        return self.root / "config.toml"

    @property
    def registry_file(self) -> Path:
        """The enrolled identities and vaults, JSON; see `crypto.registry`."""
        return self.root / "registry.json"

    @property
    def identities(self) -> Path:
        """A folder with one private identity file (0600) for each identity name."""
        return self.root / "identities"

    @property
    def kms_dir(self) -> Path:
        """The keystore of `local-kms://`."""
        return self.root / "kms"

    @property
    def broker_db(self) -> Path:
        """The key-broker's own database: audit log, nonces, budgets."""
        return self.root / "key-broker.db"

    @property
    def ledger_db(self) -> Path:
        """The scheduler's job ledger."""
        return self.root / "ledger.db"

    @property
    def delivery(self) -> Path:
        """Where restore workers put parcels."""
        return self.root / "delivery"

    @property
    def cache(self) -> Path:
        """What workers remember of repositories, by role and vault; may be removed at any time when none runs."""
        return self.root / "cache"

    @property
    def logs(self) -> Path:
        """One log file for each role."""
        return self.root / "logs"

    @property
    def run_dir(self) -> Path:
        """What is true only while a stack runs."""
        return self.root / "run"

    @property
    def stack_file(self) -> Path:
        """How to reach the stack that is kept up; see `config.stack_file`."""
        return self.run_dir / "stack.json"

    @property
    def stack_lock(self) -> Path:
        """Held by the supervisor of the stack that is kept up."""
        return self.run_dir / "stack.lock"

    def create(self) -> None:
        """Make the folders, owner-only; an existing one of ours that is more open is tightened.

        Raises:
            ConfigError: a folder cannot be made, is not a folder, or belongs to somebody else.
        """
        for folder in (
            self.root,
            self.identities,
            self.kms_dir,
            self.delivery,
            self.cache,
            self.logs,
            self.run_dir,
        ):
            _make_private(folder)


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=OWNER_ONLY_DIR, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid != os.geteuid():
            raise ConfigError(
                f"{folder} belongs to another user", remedy="set STRONGROOM_HOME to a folder of your own"
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(OWNER_ONLY_DIR)
    except OSError as error:
        raise ConfigError(
            f"cannot make {folder}: {error.strerror}", remedy="set STRONGROOM_HOME to a folder you can write"
        ) from error
