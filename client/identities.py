"""Identities of an installation on several hosts: made where they are used, enrolled where the registry is kept."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from client.arguments import host_name
from client.errors import BadArgument, EnrolmentRefused
from client.installation import write_private
from config.queues import HOSTED_ROLES
from crypto import enrolment
from crypto.enrolment import PublicIdentity
from crypto.identity import Identity
from crypto.registry import Enrolled, Registry

PUBLIC_SUFFIX: Final = ".pub"


def make_identity(role: str, name: str, out: Path) -> PublicIdentity:
    """Make an identity: its private part in `out`, owner-only, its public part beside it.

    Raises:
        BadArgument: the name is none.
        EnrolmentRefused: there is a file already; nothing is overwritten.
        ClientError: the files cannot be written.
    """
    if not enrolment.is_name(name):
        raise BadArgument(
            f"{name!r} is not a name", remedy=f"use up to {enrolment.MAX_NAME} printable characters"
        )
    if out.exists():
        raise EnrolmentRefused(
            f"{out} is there already", remedy="use it, or move it away; what it has enrolled ends with it"
        )
    identity = Identity.generate(name)
    write_private(out, identity.encode())
    write_private(out.with_name(out.name + PUBLIC_SUFFIX), enrolment.to_text(identity, role).encode())
    return enrolment.public_of(identity, role)


def read_public(file: Path) -> PublicIdentity:
    """The public part in a file.

    Raises:
        BadArgument: it cannot be read.
        Malformed, Untrusted: it is none.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(enrolment.MAX_TEXT + 1)
    except OSError as error:
        raise BadArgument(f"cannot read {file}: {error.strerror}", remedy="check the path") from error
    return enrolment.from_text(data.decode("ascii", "replace"))


def enrolled_as(
    public: PublicIdentity, role: str, vaults: Iterable[str], host: str, registry: Registry
) -> Enrolled:
    """The registry's entry for an identity.

    Args:
        public: the identity.
        role: what it may do; must be what it was made for.
        vaults: names of the only vaults it may work for; none: every vault.
        host: whose jobs alone it does.
        registry: has the vaults.

    Raises:
        EnrolmentRefused: another role, an unknown vault, a role that works on no particular host.
    """
    if public.role != role:
        raise EnrolmentRefused(
            f"this identity was made for the role {public.role}, not {role}",
            remedy=f"enrol it as {public.role}, or make one for {role} where it is needed",
        )
    if host_name(host) and role not in HOSTED_ROLES:
        raise EnrolmentRefused(
            f"the role {role} works on no particular host",
            remedy="leave --host out; it is for backup workers",
        )
    known = {entry.name: entry.id for entry in registry.vaults}
    wanted = tuple(vaults)
    for name in wanted:
        if name not in known:
            raise EnrolmentRefused(
                f"there is no vault {name!r}", remedy="add it first, with `strongroom vault add`"
            )
    return public.enrolled(tuple(known[name] for name in wanted) if wanted else None, host)


def without_identity(registry: Registry, wanted: str) -> tuple[Registry, Enrolled]:
    """A registry without one identity, and that identity.

    Args:
        registry: with it.
        wanted: its id as hex, at least 8 digits of it, or its name if no other has it.

    Raises:
        EnrolmentRefused: none or several are meant.
    """
    found = [
        each
        for each in registry.identities
        if each.name == wanted or (len(wanted) >= 8 and each.id.hex().startswith(wanted.lower()))
    ]
    if len(found) != 1:
        how_many = "no enrolled identity" if not found else f"{len(found)} identities"
        raise EnrolmentRefused(
            f"{how_many} could be meant by {wanted!r}", remedy="give an id of `strongroom enrol --list`"
        )
    left = tuple(each for each in registry.identities if each.id != found[0].id)
    return msgspec.structs.replace(registry, identities=left), found[0]


def read_registry_copy(file: Path, limit: int) -> bytes:
    """A registry file that was carried here.

    Raises:
        BadArgument: it cannot be read, or is too large.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(limit + 1)
    except OSError as error:
        raise BadArgument(
            f"cannot read {os.fspath(file)}: {error.strerror}", remedy="check the path"
        ) from error
    if len(data) > limit:
        raise BadArgument(f"{file} is too large for a registry", remedy="name the file that was exported")
    return data
