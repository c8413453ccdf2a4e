"""The installation as the command sees it: home, settings, registry, operator identity; and how it is made."""

import fcntl
import os
import secrets
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from client.errors import AlreadyInitialised, ClientError, EnrolmentRefused, NotInitialised, UnknownVault
from client.template import CONFIG_TOML
from config.home import OWNER_ONLY_DIR, OWNER_ONLY_FILE, Home
from config.settings import Settings, load
from crypto.identity import Identity
from crypto.registry import KEY_BROKER, MAX_REGISTRY, OPERATOR, ROLES, Enrolled, Registry, VaultEntry

MAX_IDENTITY = 64 * 1024
# Not `init`, with a broker of one's own: it would make another installation.
_IMPORT = "take a copy from where it is kept: strongroom registry import FILE"
_OPERATOR = "make one and enrol it: strongroom identity new --role operator --name NAME"
_PACKAGES = Path(__file__).parents[1]


@dataclass(frozen=True)
class Installation:
    """What every command but `init` starts from."""

    home: Home
    settings: Settings
    registry: Registry
    operator: Identity

    @classmethod
    def open(cls, home: Home | None = None) -> "Installation":
        """Read an installation.

        Args:
            home: instead of the one that STRONGROOM_HOME names.

        Raises:
            NotInitialised: there is none.
            ConfigError, Malformed: a file of it is damaged.
        """
        home = home or Home.from_env()
        settings = load(home)
        external = bool(settings.broker.url)
        if not home.registry_file.exists():
            raise NotInitialised(
                f"there is no {'copy of the registry' if external else 'Strongroom'} in {home.root}",
                remedy=_IMPORT if external else "run `strongroom init` or set STRONGROOM_HOME",
            )
        file = home.identities / OPERATOR
        if external and not file.exists():
            raise NotInitialised(f"there is no operator's identity in {home.root}", remedy=_OPERATOR)
        return cls(home, settings, read_registry(home), Identity.decode(_read(file, MAX_IDENTITY)))

    def vault(self, name: str) -> VaultEntry:
        """The vault of that name.

        Raises:
            UnknownVault: there is none; says which there are.
        """
        return vault_named(self.registry, name)


def vault_named(registry: Registry, name: str) -> VaultEntry:
    """The vault of that name.

    Raises:
        UnknownVault: there is none; says which there are.
    """
    for entry in registry.vaults:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in registry.vaults)
    raise UnknownVault(
        f"there is no vault {name!r}",
        remedy=f"use one of: {known}" if known else "make one with `strongroom vault create`",
    )


def read_registry(home: Home) -> Registry:
    """The registry of `home`.

    Raises:
        ClientError, Malformed: it cannot be read.
    """
    return Registry.decode(_read(home.registry_file, MAX_REGISTRY))


def keeps_registry(home: Home) -> bool:
    """Whether `home` is where the registry is kept, and not a copy of it: the key-broker's."""
    return (home.identities / KEY_BROKER).exists()


def change_registry(home: Home, change: Callable[[Registry], Registry]) -> Registry:
    """Replace the registry by what `change` makes of it: atomic, durable, one command at a time.

    Where it is kept, each change raises its serial; one to a copy does not, so that the next copy takes its place.

    Raises:
        ClientError, Malformed: it cannot be read or written; also whatever `change` raises, and nothing is changed.
    """
    with _locked(home.registry_file.with_suffix(".lock")):
        found = read_registry(home)
        changed = change(found)
        if changed != found and keeps_registry(home):
            changed = msgspec.structs.replace(changed, serial=found.serial + 1)
        write_private(home.registry_file, changed.encode())
    return changed


def replace_registry(home: Home, copy: Registry) -> None:
    """Take a copy of the registry, if it may be one of what `home` has now.

    Raises:
        EnrolmentRefused: another installation's, or older, or `home` is where the registry is kept.
        ClientError, Malformed: the one in `home` cannot be read or written.
    """
    with _locked(home.registry_file.with_suffix(".lock")):
        if home.registry_file.exists():
            _require_successor(home, read_registry(home), copy)
        write_private(home.registry_file, copy.encode())


def _require_successor(home: Home, found: Registry, copy: Registry) -> None:
    if found.tenant != copy.tenant:
        raise EnrolmentRefused(
            "the copy belongs to another installation", remedy="use another STRONGROOM_HOME for it"
        )
    if keeps_registry(home):
        raise EnrolmentRefused(
            f"the registry is kept in {home.root}, and no copy is newer than it",
            remedy="change it with `strongroom enrol` and `vault add`; to put a saved one back, move "
            f"{home.registry_file.name} away first",
        )
    if copy.serial < found.serial:
        raise EnrolmentRefused(
            f"the copy is older than what is here: {copy.serial} changes, here {found.serial}",
            remedy="export it again where it is kept; if a saved one was put back there, move "
            f"{home.registry_file.name} away here first",
        )


def without_vault(vault: bytes) -> Callable[[Registry], Registry]:
    """A change for `change_registry`: the vault of that id is no longer registered."""

    def change(registry: Registry) -> Registry:
        left = tuple(entry for entry in registry.vaults if entry.id != vault)
        return msgspec.structs.replace(registry, vaults=left)

    return change


def initialise(home: Home, *, passphrase: bool = False) -> Registry:
    """Make an installation: folders, one identity for each role, the registry, settings, and the local keystore.

    Args:
        passphrase: lock the keystore with a passphrase (asked on the terminal) in place of a key file.

    Raises:
        AlreadyInitialised: there is one; nothing is changed.
        ConfigError, ClientError: a file or folder cannot be made.
    """
    if home.registry_file.exists():
        raise AlreadyInitialised(
            f"{home.root} is a Strongroom already", remedy="use it, or choose another STRONGROOM_HOME"
        )
    home.create()
    if passphrase and any(home.kms_dir.iterdir()):
        raise ClientError(
            f"there is a keystore in {home.kms_dir} already: --passphrase would change nothing",
            remedy="run `strongroom init` without it, or move that folder away",
        )
    if not any(home.kms_dir.iterdir()):
        _make_keystore(home, passphrase=passphrase)
    registry = Registry(tenant=secrets.token_bytes(16))
    for role in ROLES:
        identity = Identity.generate(role)
        write_private(home.identities / role, identity.encode())
        registry = registry.with_identity(
            Enrolled(identity.id, role, (role,), identity.sign_public, identity.opening.public)
        )
    if not home.settings_file.exists():
        write_private(home.settings_file, CONFIG_TOML.encode())
    write_private(home.registry_file, registry.encode())  # last: a home with a registry is complete
    return registry


def python_command(module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment that run one of our modules in a new interpreter, wherever the caller stands.

    Without -P, Python would look for `workers` and the others in the working folder first.
    """
    path = os.pathsep.join(filter(None, (str(_PACKAGES), os.environ.get("PYTHONPATH", ""))))
    return [sys.executable, "-P", "-m", module, *arguments], {**os.environ, "PYTHONPATH": path}


def private_folder(folder: Path) -> None:
    """Make a folder for secrets that only its owner may enter, or see to it that an existing one is that.

    One that others may enter is closed to them if it is empty. With something in it, it may have another use, and is
    left alone.

    Raises:
        ClientError: it has something in it and is open to others, is somebody else's, or cannot be made.
    """
    try:
        folder.mkdir(mode=OWNER_ONLY_DIR, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077:
            return
        if found.st_uid == os.geteuid() and not any(folder.iterdir()):
            folder.chmod(OWNER_ONLY_DIR)
            return
    except OSError as error:
        raise ClientError(
            f"cannot make {folder}: {error.strerror}", remedy="name a folder that you can write"
        ) from error
    raise ClientError(
        f"{folder} is open to other users, and private keys would be made in it",
        remedy=f"name a folder of its own, or close this one: chmod 700 {folder}",
    )


def write_private(path: Path, data: bytes) -> None:
    """Write an owner-only file, or replace one, in one step that survives a crash.

    Raises:
        ClientError: it cannot be written.
    """
    if path.exists() and not path.is_file():
        # Else /dev/null, or a pipe that somebody reads, would become a file.
        raise ClientError(f"{path} is no file", remedy="name a file, new or to be replaced")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, OWNER_ONLY_FILE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ClientError(
            f"cannot write {path}: {error.strerror}", remedy="check the space and who owns the folder"
        ) from error


def _make_keystore(home: Home, *, passphrase: bool) -> None:
    command, environment = python_command(
        "crypto.kms.admin", "--folder", str(home.kms_dir), "init", *(["--passphrase"] if passphrase else [])
    )
    # The terminal stays connected: a passphrase is asked there and never passes through this process.
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise ClientError(
            "the local keystore was not made", remedy="see the message above; run `strongroom init` again"
        )


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ClientError(
            f"cannot read {path}: {error.strerror}", remedy="restore that file, or run `strongroom init`"
        ) from error
    if len(data) > limit:
        raise ClientError(f"{path} is larger than such a file can be", remedy="restore it from a copy")
    return data


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
