"""Vaults of this installation: making one, attaching one, forgetting one."""

import os
import secrets
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from client.errors import JobFailed, UnknownVault, VaultExists, VaultInUse
from client.installation import Installation, change_registry, keeps_registry, read_registry, without_vault
from client.job import Job
from client.listing import ask, list_snapshots
from client.session import Session, open_session
from client.waiting import Waits
from config.home import Home
from config.settings import StoreSettings, load
from crypto import job as jobs
from crypto.registry import OPERATOR, Registry, VaultEntry
from repository.errors import StoreDenied
from repository.place import FolderPlace, parse_place
from repository.stores import open_reader
from repository.vault import read_vault_header

_UNENDED: Final = ("queued", "running")


class Created(NamedTuple):
    """A vault that is there now."""

    entry: VaultEntry
    made: bool
    """False when it was there before, and nothing was done."""


class _Initialised(msgspec.Struct, frozen=True):
    """The outcome of the job that makes a vault."""

    made: bool


def add_vault(
    home: Home, name: str, repo: str, kms: str, host: str, ids: tuple[bytes, bytes] | None = None
) -> VaultEntry:
    """Register a vault, and do nothing else.

    Args:
        home: with the registry.
        name, repo, kms, host: of the vault.
        ids: of a vault that exists, and its tenant, 16 bytes each; by default it is a new one, to be made.

    Raises:
        VaultExists: the name is taken, or the vault is registered already.
        ClientError, Malformed: the registry cannot be changed.
    """
    vault, tenant = ids or (secrets.token_bytes(16), read_registry(home).tenant)
    entry = VaultEntry(vault, tenant, name, repo, kms, host)
    change_registry(home, lambda registry: _with_new(registry, entry))
    return entry


def create_vault(installation: Installation, name: str, repo: str, kms: str) -> Created:
    """Register a new vault and have a worker make its first objects; on failure nothing stays registered.

    One that is registered for the same repository and CMK stays registered as it is. A worker makes it if `add_vault`
    did no more than register it, and does nothing if it is there: so a script may run this again.

    Raises:
        VaultExists: the name is taken by a vault elsewhere or under another CMK, or the folder is not empty.
        UnknownVault: it is not registered, and the registry is kept elsewhere.
        JobFailed and others: see `client.job`.
    """
    known = _known(installation.registry, name, repo, kms)
    if known is not None:
        with open_session(installation) as session:
            return Created(known, _make(session, known))
    _require_no_copy(installation, name)
    if not installation.settings.broker.url:
        _require_empty(repo, installation.settings.store)
    entry = VaultEntry(secrets.token_bytes(16), installation.registry.tenant, name, repo, kms)
    return Created(_registered(installation, entry, _make), made=True)


def attach_vault(installation: Installation, name: str, repo: str, kms: str) -> VaultEntry:
    """Register a repository that exists, once its snapshots could be listed; on failure nothing stays registered.

    Raises:
        VaultExists: the name is taken, or the vault is registered already.
        UnknownVault: as for `create_vault`.
        RepositoryError: there is no repository, or none that this release reads.
        JobFailed and others: see `client.job`.
    """
    _require_no_copy(installation, name)
    header = read_vault_header(open_reader(repo, installation.settings.store, on_wait=Waits().of_store))
    entry = VaultEntry(header.vault, header.tenant, name, repo, kms)
    return _registered(installation, entry, list_snapshots)


def forget_vault(home: Home, entry: VaultEntry) -> None:
    """Take a vault out of a home's registry, and nothing else: neither its repository nor its keys are touched.

    Raises:
        ClientError, Malformed: the registry cannot be changed.
    """
    change_registry(home, without_vault(entry.id))


def require_unused(home: Home, entry: VaultEntry) -> None:
    """Refuse to forget a vault that is in use, as far as this home can tell.

    Where there is no operator, as on the key-broker's host, only its own settings are looked at: the scheduler answers
    nobody else.

    Raises:
        VaultInUse: says by what.
        SchedulerSilent, BrokerUnreachable and others: it cannot be told; see `client.job`.
    """
    uses = {f"the schedule {each.name!r}" for each in load(home).recurring if each.vault == entry.name}
    if is_operators(home):
        with open_session(Installation.open(home)) as session:
            uses |= {
                f"the schedule {line.get('name')!r}"
                for line in ask(session, "schedules")
                if line.get("vault") == entry.name
            }
            uses |= {
                f"a {line.get('kind')} job"
                for line in ask(session, "jobs")
                if line.get("vault") == entry.name
                and line.get("state") in _UNENDED
                and line.get("kind") != jobs.TIDY
            }
    if uses:
        raise VaultInUse(
            f"the vault {entry.name!r} is in use: {', '.join(sorted(uses))}",
            remedy="end that first; --force forgets the vault all the same",
        )


def is_operators(home: Home) -> bool:
    """Whether somebody backs up and restores from a home."""
    return (home.identities / OPERATOR).exists()


def command_again(home: Home, entry: VaultEntry) -> str:
    """The command that has a forgotten vault registered again, in the home where it was forgotten."""
    words = [entry.name, "--repo", entry.repo, "--kms", entry.kms]
    if is_operators(home) and not load(home).broker.url:
        return shlex.join(["strongroom", "vault", "attach", *words])
    if entry.host:
        words += ["--host", entry.host]
    words += ["--id", entry.id.hex(), "--tenant", entry.tenant.hex()]
    return shlex.join(["strongroom", "vault", "add", *words])


def _require_no_copy(installation: Installation, name: str) -> None:
    """Refuse to register a vault in a copy of the registry: nobody else would know it."""
    if not installation.settings.broker.url or keeps_registry(installation.home):
        return
    raise UnknownVault(
        f"there is no vault {name!r} in this home's copy of the registry",
        remedy="add it where the registry is kept, with `strongroom vault add`; if that was done, import the "
        "registry's new copy: strongroom registry import FILE",
    )


def _registered(installation: Installation, entry: VaultEntry, prove: Callable[..., object]) -> VaultEntry:
    registry = change_registry(installation.home, lambda registry: _with_new(registry, entry))
    try:
        with open_session(
            Installation(installation.home, installation.settings, registry, installation.operator)
        ) as session:
            prove(session, entry)
    except BaseException:
        change_registry(installation.home, without_vault(entry.id))
        raise
    return entry


def _make(session: Session, entry: VaultEntry) -> bool:
    """Have a worker make the vault; False when it found it there."""
    job = Job(session, jobs.INIT, entry.id, lambda requester: jobs.InitSpec(entry.repo, requester))
    try:
        return msgspec.json.decode(job.run().json, type=_Initialised).made
    except msgspec.MsgspecError as error:
        raise JobFailed(
            "bad-outcome",
            "the vault is there, but the worker does not say whether it was made now",
            remedy="use the same release on every host",
        ) from error


def _known(registry: Registry, name: str, repo: str, kms: str) -> VaultEntry | None:
    """The vault of that name, if it is registered for that repository and CMK.

    Raises:
        VaultExists: it is registered for others.
    """
    for entry in registry.vaults:
        if entry.name == name:
            differs = [
                f"its {what} is {there}, not {given}"
                for what, there, given in (("repository", entry.repo, repo), ("CMK", entry.kms, kms))
                if there != given
            ]
            if differs:
                raise VaultExists(
                    f"the vault {name!r} exists already, and {' and '.join(differs)}",
                    remedy="choose another name, or give what `strongroom vault list` shows",
                )
            return entry
    return None


def _with_new(registry: Registry, entry: VaultEntry) -> Registry:
    for other in registry.vaults:
        if other.name == entry.name or other.id == entry.id:
            what = f"there is a vault {other.name!r} already"
            raise VaultExists(
                what if other.name == entry.name else f"this repository is the vault {other.name!r} here",
                remedy="choose another name" if other.name == entry.name else "use it under that name",
            )
    return registry.with_vault(entry)


def _require_empty(repo: str, settings: StoreSettings) -> None:
    place = parse_place(repo)
    if isinstance(place, FolderPlace):
        _require_empty_folder(place.path)
        return
    try:
        taken = next(open_reader(repo, settings, on_wait=Waits().of_store).list(""), None) is not None
    except StoreDenied:
        return  # whoever makes vaults need not be able to read them; a worker refuses where a vault is already
    if taken:
        raise VaultExists(
            f"there are objects below {place.shown} already",
            remedy="name another prefix, or use `strongroom vault attach` for an existing repository",
        )


def _require_empty_folder(folder: Path) -> None:
    try:
        taken = bool(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        raise VaultExists(
            f"cannot make a repository in {folder}: {error.strerror}", remedy="name a new or empty folder"
        ) from error
    if taken:
        raise VaultExists(
            f"the folder {folder} is not empty",
            remedy="name a new or empty folder, or use `strongroom vault attach` for an existing repository",
        )
