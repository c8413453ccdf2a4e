"""The public half of an identity as a small text that is carried to the registry, and its fingerprint.

The text is signed by the identity itself, so what is enrolled has a private half that somebody held; whose it is, the
fingerprint says, compared by people over a way they trust.
"""

import base64
import binascii
import hashlib
import textwrap

import msgspec

from crypto import canonical, signing
from crypto.errors import Malformed
from crypto.hpke import PUBLIC_BYTES
from crypto.identity import Identity
from crypto.registry import ID_BYTES, ROLES, Enrolled
from crypto.signing import Domain, Signed

PUBLIC_VERSION = 1
MAX_TEXT = 16 * 1024
MAX_NAME = 64
_BEGIN = "-----BEGIN STRONGROOM IDENTITY-----"
_END = "-----END STRONGROOM IDENTITY-----"
_GROUP = 4
_FINGERPRINT_BYTES = 16


class PublicIdentity(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What may be known of an identity."""

    version: int
    id: bytes
    name: str
    role: str
    """What it was made for; what it may do is the registry's word."""
    sign_public: bytes
    hpke_public: bytes

    def fingerprint(self) -> str:
        """32 hexadecimal digits in groups, for people to compare."""
        return fingerprint(canonical.encode(self))

    def enrolled(self, vaults: tuple[bytes, ...] | None = None, host: str = "") -> Enrolled:
        """The entry for the registry."""
        return Enrolled(self.id, self.name, (self.role,), self.sign_public, self.hpke_public, vaults, host)


def fingerprint(data: bytes) -> str:
    """The first 16 bytes of a SHA-256, in groups of four digits."""
    digits = hashlib.sha256(data).digest()[:_FINGERPRINT_BYTES].hex()
    return " ".join(digits[i : i + _GROUP] for i in range(0, len(digits), _GROUP))


def public_of(identity: Identity, role: str) -> PublicIdentity:
    """The public half of an identity that was made for `role`."""
    return PublicIdentity(
        PUBLIC_VERSION, identity.id, identity.name, role, identity.sign_public, identity.opening.public
    )


def to_text(identity: Identity, role: str) -> str:
    """The public half as a text to carry to the registry."""
    signed = identity.sign(Domain.ENROLMENT, public_of(identity, role))
    body = base64.standard_b64encode(canonical.encode(signed)).decode()
    return "\n".join((_BEGIN, *textwrap.wrap(body, 76), _END, ""))


def from_text(text: str) -> PublicIdentity:
    """Read what `to_text` made.

    1. It is one text of that form.
    2. Its fields have the form of an identity's.
    3. The identity has signed it.

    Raises:
        Malformed: 1 or 2 does not hold.
        Untrusted: 3 does not hold.
    """
    remedy = "copy the whole file that `strongroom identity new` wrote"
    lines = text.strip().splitlines() if len(text) <= MAX_TEXT else []
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:  # 1
        raise Malformed("not the public part of an identity", remedy=remedy)
    try:
        signed = canonical.decode(Signed, base64.b64decode("".join(lines[1:-1]), validate=True))
    except (binascii.Error, ValueError) as error:
        raise Malformed("the public part of an identity is damaged", remedy=remedy) from error
    claimed = canonical.decode(PublicIdentity, signed.body)
    if claimed.version != PUBLIC_VERSION:  # 2
        raise Malformed(f"identity version {claimed.version} is not known here", remedy="use a newer release")
    if (
        signed.signer != claimed.id
        or len(claimed.id) != ID_BYTES
        or len(claimed.hpke_public) != PUBLIC_BYTES
        or claimed.role not in ROLES
        or not is_name(claimed.name)
    ):
        raise Malformed("the public part of an identity has a field of the wrong form", remedy=remedy)
    return signing.verify(claimed.sign_public, Domain.ENROLMENT, signed, PublicIdentity)  # 3


def is_name(name: str) -> bool:
    """Whether a text can be an identity's name: short, printable, no blanks at the ends."""
    return 0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip()
