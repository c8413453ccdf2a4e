"""The registry: which identities are enrolled, for which roles and vaults, and which CMK each vault hangs on.

Each role reads its own copy; the key-broker believes only the one on its own disk.
"""

from typing import Annotated

import msgspec

from config.queues import HOSTED_ROLES, is_host
from crypto.errors import Malformed, OutOfScope, Untrusted

MAX_REGISTRY = 8 << 20
MAX_SERIAL = 1 << 53
VERSION = 2
ID_BYTES = 16
OPERATOR = "operator"
SCHEDULER = "scheduler"
KEY_BROKER = "key-broker"
BACKUP = "backup"
RESTORE = "restore"
MAINTENANCE = "maintenance"
ROLES = (OPERATOR, SCHEDULER, KEY_BROKER, BACKUP, RESTORE, MAINTENANCE)


class Enrolled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The public half of an identity and what it may be used for."""

    id: bytes
    name: str
    roles: tuple[str, ...]
    sign_public: bytes
    hpke_public: bytes
    vaults: tuple[bytes, ...] | None = None
    """The vaults it may work for; `None` for every vault of this installation."""
    host: str = ""
    """The host whose jobs alone it does; empty for every worker that does jobs of no particular host."""

    def require(self, role: str, vault: bytes | None = None) -> None:
        """Refuse an identity that is not enrolled for a role, or not for a vault.

        Raises:
            Untrusted: not this role.
            OutOfScope: this role, but not this vault.
        """
        if role not in self.roles:
            raise Untrusted(
                f"identity {self.id.hex()} is not enrolled as {role}", remedy="enrol it for that role"
            )
        if vault is not None and self.vaults is not None and vault not in self.vaults:
            raise OutOfScope(f"identity {self.id.hex()} is not enrolled for vault {vault.hex()}")


class VaultEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One vault: its ids, what its owner calls it, where its objects are and which CMK wraps its keys."""

    id: bytes
    tenant: bytes
    name: str
    repo: str
    kms: str
    host: str = ""
    """The host that reads what is backed up, unless a job says otherwise; empty: any backup worker."""


class Registry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is enrolled. Immutable; `with_identity` and `with_vault` give a changed copy."""

    version: int = VERSION
    tenant: bytes = b""
    """The tenant that new vaults of this installation belong to."""
    serial: Annotated[int, msgspec.Meta(ge=0, le=MAX_SERIAL)] = 0
    """How many changes were made where it is kept: of two copies, the one with less is the older; 0 in version 1."""
    identities: tuple[Enrolled, ...] = ()
    vaults: tuple[VaultEntry, ...] = ()

    def identity(self, identity_id: bytes) -> Enrolled:
        """The enrolled identity of that id.

        Raises:
            Untrusted: none is enrolled.
        """
        for enrolled in self.identities:
            if enrolled.id == identity_id:
                return enrolled
        # The id comes from outside, of any length.
        raise Untrusted(
            f"identity {identity_id[:ID_BYTES].hex()} is not enrolled", remedy="enrol it in the registry"
        )

    def holders(self, role: str, vault: bytes | None = None) -> tuple[Enrolled, ...]:
        """Every identity enrolled for a role (and a vault)."""
        return tuple(
            each
            for each in self.identities
            if role in each.roles and (vault is None or each.vaults is None or vault in each.vaults)
        )

    def vault(self, vault_id: bytes) -> VaultEntry:
        """The vault of that id.

        Raises:
            OutOfScope: no such vault.
        """
        for entry in self.vaults:
            if entry.id == vault_id:
                return entry
        raise OutOfScope(
            f"vault {vault_id[:ID_BYTES].hex()} is not registered here",
            remedy="create or attach it first; on several hosts, import the registry's new copy on every one",
        )

    def with_identity(self, enrolled: Enrolled) -> "Registry":
        """A copy that also holds `enrolled`, in place of one of the same id."""
        others = tuple(each for each in self.identities if each.id != enrolled.id)
        return msgspec.structs.replace(self, identities=(*others, enrolled))

    def with_vault(self, entry: VaultEntry) -> "Registry":
        """A copy that also holds `entry`, in place of one of the same id."""
        others = tuple(each for each in self.vaults if each.id != entry.id)
        return msgspec.structs.replace(self, vaults=(*others, entry))

    def encode(self) -> bytes:
        """The registry file: indented JSON, bytes as base64."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> "Registry":
        """Read a registry file.

        Raises:
            Malformed: not one, or ambiguous: says where.
        """
        if len(data) > MAX_REGISTRY:
            raise Malformed("the registry file is too large")
        try:
            registry = msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise Malformed(f"the registry file cannot be read: {error}") from error
        if registry.version not in (1, VERSION) or (registry.version == 1 and registry.serial):
            raise Malformed(f"registry version {registry.version} is not known here")
        _require_sound(registry)
        return msgspec.structs.replace(registry, version=VERSION)


def _require_sound(registry: Registry) -> None:
    """Refuse ids and roles that are not ones, and two entries of one id: which of them counts is a guess."""
    tenants = [entry.tenant for entry in registry.vaults] + ([registry.tenant] if registry.tenant else [])
    vaults = [entry.id for entry in registry.vaults]
    identities = [each.id for each in registry.identities]
    scopes = [vault for each in registry.identities for vault in each.vaults or ()]
    if any(len(each) != ID_BYTES for each in (*tenants, *vaults, *identities, *scopes)):
        raise Malformed("an id in the registry has not 16 bytes")
    if len(set(vaults)) != len(vaults) or len(set(identities)) != len(identities):
        raise Malformed("the registry has two entries of one id")
    hosts = [entry.host for entry in registry.vaults] + [each.host for each in registry.identities]
    if any(host and not is_host(host) for host in hosts):
        raise Malformed("a host in the registry has no name of a host")
    for each in registry.identities:
        if each.host and not set(each.roles) <= HOSTED_ROLES:
            raise Malformed(f"identity {each.id.hex()} has a host, but not only roles that work on one")
        unknown = set(each.roles) - set(ROLES)
        if unknown:
            raise Malformed(
                f"identity {each.id.hex()} has the unknown role {min(unknown)}",
                remedy=f"the roles are {', '.join(ROLES)}",
            )
