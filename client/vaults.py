"""Vaults of this installation: making one, attaching one, forgetting one that did not come about."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from client.errors import VaultExists
from client.installation import Installation, change_registry, read_registry, without_vault
from client.job import Job
from client.listing import list_snapshots
from client.session import Session, open_session
from config.home import Home
from config.settings import StoreSettings
from crypto import job as jobs
from crypto.registry import Registry, VaultEntry
from repository.errors import StoreDenied
from repository.place import FolderPlace, parse_place
from repository.stores import open_reader
from repository.vault import read_vault_header


def add_vault(home: Home, name: str, repo: str, kms: str, host: str) -> VaultEntry:
    """Register a new vault, of which nothing has been made yet.

    Raises:
        VaultExists: the name is taken.
        ClientError, Malformed: the registry cannot be changed.
    """
    entry = VaultEntry(secrets.token_bytes(16), read_registry(home).tenant, name, repo, kms, host)
    change_registry(home, lambda registry: _with_new(registry, entry))
    return entry


def create_vault(installation: Installation, name: str, repo: str, kms: str) -> VaultEntry:
    """Register a new vault and have a worker make its first objects; on failure nothing stays registered.

    One that `add_vault` has registered, for the same repository and CMK, is made as it is and stays registered.

    Raises:
        VaultExists: the name is taken, or the folder is not empty.
        JobFailed and others: see `client.job`.
    """
    for known in installation.registry.vaults:
        if (known.name, known.repo, known.kms) == (name, repo, kms):
            with open_session(installation) as session:
                _make(session, known)
            return known
    if not installation.settings.broker.url:
        _require_empty(repo, installation.settings.store)
    entry = VaultEntry(secrets.token_bytes(16), installation.registry.tenant, name, repo, kms)
    return _registered(installation, entry, _make)


def attach_vault(installation: Installation, name: str, repo: str, kms: str) -> VaultEntry:
    """Register a repository that exists, once its snapshots could be listed; on failure nothing stays registered.

    Raises:
        VaultExists: the name is taken, or the vault is registered already.
        RepositoryError: there is no repository, or none that this release reads.
        JobFailed and others: see `client.job`.
    """
    header = read_vault_header(open_reader(repo, installation.settings.store))
    entry = VaultEntry(header.vault, header.tenant, name, repo, kms)
    return _registered(installation, entry, list_snapshots)


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


def _make(session: Session, entry: VaultEntry) -> None:
    Job(session, jobs.INIT, entry.id, lambda requester: jobs.InitSpec(entry.repo, requester)).run()


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
        taken = next(open_reader(repo, settings).list(""), None) is not None
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
