"""A small installation to attack: enrolled people, two vaults of two tenants, process keys."""

import copy
import os
import pickle  # noqa: TID251 -- to show that nothing here can be pickled
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st

from crypto.certificate import ProcessKeys
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.registry import ROLES, Enrolled, Registry, VaultEntry

NOW = 1_800_000_000_000
HOUR_MS = 3_600_000

CARRIERS: tuple[Callable[[object], object], ...] = (
    *(lambda each, protocol=protocol: pickle.dumps(each, protocol) for protocol in range(6)),
    lambda each: pickle.dumps({"nested": [each]}),
    copy.copy,
    copy.deepcopy,
    lambda each: copy.deepcopy([each]),
)
"""Ways to carry a value out of its process or to have it twice."""


def enrol(identity: Identity, *roles: str, vaults: tuple[bytes, ...] | None = None) -> Enrolled:
    return Enrolled(
        identity.id, identity.name, roles, identity.sign_public, identity.opening.public, vaults=vaults
    )


@dataclass(frozen=True)
class World:
    """One identity and one process per role, named as the role; `stranger` is enrolled nowhere."""

    tenant: bytes = field(default_factory=lambda: os.urandom(16))
    vault: bytes = field(default_factory=lambda: os.urandom(16))
    other_tenant: bytes = field(default_factory=lambda: os.urandom(16))
    other_vault: bytes = field(default_factory=lambda: os.urandom(16))
    job: bytes = field(default_factory=lambda: os.urandom(16))
    people: dict[str, Identity] = field(
        default_factory=lambda: {role: Identity.generate(role) for role in ROLES}
    )
    stranger: Identity = field(default_factory=lambda: Identity.generate("stranger"))
    requester: HpkeKey = field(default_factory=HpkeKey.generate)

    @property
    def registry(self) -> Registry:
        return Registry(
            tenant=self.tenant,
            identities=tuple(enrol(identity, role) for role, identity in self.people.items()),
            vaults=(
                VaultEntry(self.vault, self.tenant, "photos", "file:///one", "local-kms://one"),
                VaultEntry(self.other_vault, self.other_tenant, "letters", "file:///two", "local-kms://two"),
            ),
        )

    def process(self, role: str, now_ms: int = NOW) -> ProcessKeys:
        return ProcessKeys(self.people[role], role, now_ms)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """`whole` after an accident or an attack: never equal to it."""
    at = draw(st.integers(0, len(whole) - 1))
    how = draw(st.sampled_from(("flip", "cut", "drop", "insert", "append")))
    if how == "flip":
        return whole[:at] + bytes([whole[at] ^ draw(st.integers(1, 255))]) + whole[at + 1 :]
    if how == "cut":
        return whole[:at]
    if how == "drop":
        return whole[:at] + whole[at + draw(st.integers(1, 64)) :]
    extra = draw(st.binary(min_size=1, max_size=64))
    return whole[:at] + extra + whole[at:] if how == "insert" else whole + extra
