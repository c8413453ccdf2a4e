"""Vaults of this installation: making one, attaching one, forgetting one that did not come about."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from client.errors import VaultExists
from client.installation import Installation, change_registry, without_vault
from client.job import Job
from client.listing import list_snapshots
from client.session import open_session
from config.settings import StoreSettings
from crypto import job as jobs
from crypto.registry import Registry, VaultEntry
from repository.errors import StoreDenied
from repository.place import FolderPlace, parse_place
from repository.stores import open_reader
from repository.vault import read_vault_header


def create_vault(installation: Installation, name: str, repo: str, kms: str) -> VaultEntry:
    """Register a new vault and have a worker make its first objects; on failure nothing stays registered.

    Raises:
        VaultExists: the name is taken, or the folder is not empty.
        JobFailed and others: see `client.job`.
    """
    _require_empty(repo, installation.settings.store)
    entry = VaultEntry(secrets.token_bytes(16), installation.registry.tenant, name, repo, kms)
    return _registered(
        installation,
        entry,
        lambda new, proven: Job(
            new, jobs.INIT, proven.id, lambda requester: jobs.InitSpec(proven.repo, requester)
        ).run(),
    )


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
    def add(registry: Registry) -> Registry:
        for other in registry.vaults:
            if other.name == entry.name or other.id == entry.id:
                what = f"there is a vault {other.name!r} already"
                raise VaultExists(
                    what if other.name == entry.name else f"this repository is the vault {other.name!r} here",
                    remedy="choose another name" if other.name == entry.name else "use it under that name",
                )
        return registry.with_vault(entry)

    registry = change_registry(installation.home, add)
    try:
        with open_session(
            Installation(installation.home, installation.settings, registry, installation.operator)
        ) as session:
            prove(session, entry)
    except BaseException:
        change_registry(installation.home, without_vault(entry.id))
        raise
    return entry


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
