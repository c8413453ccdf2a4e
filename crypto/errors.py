"""What can go wrong with keys, seals and signatures.

CryptoError
├── Malformed            bytes that are not the canonical encoding of what was expected
├── SealBroken           a sealed message that does not open under its key and context
├── UnknownFormat        a header of a version, suite or kind that this release does not know
├── HeaderMismatch       a well-formed header that names another object than the one asked for
├── Untrusted            a signature, certificate or identity that does not hold
├── OutOfScope           a valid ticket that does not cover what was asked
├── Expired              a ticket, certificate or request outside its time
├── KeyWiped             a key whose time was over before, or while, it was used
└── KeyRefused           the key-broker said no; carries its code
"""

from config.errors import StrongroomError


class CryptoError(StrongroomError):
    """Root of the errors of this package."""


class Malformed(CryptoError):
    """Bytes from outside are not the canonical encoding of the expected type."""


class SealBroken(CryptoError):
    """A sealed message was altered, truncated, or sealed under another key or context."""


class UnknownFormat(CryptoError):
    """A format version, suite or object kind that this release refuses to read."""


class HeaderMismatch(CryptoError):
    """The object is not the one that its place or its reader says it is."""


class Untrusted(CryptoError):
    """A signature does not hold, or its signer is not enrolled for this."""


class OutOfScope(CryptoError):
    """A ticket does not cover the vault, job, role or operation it is used for."""


class Expired(CryptoError):
    """A ticket, certificate or request is used outside its time."""


class KeyWiped(CryptoError):
    """A key was wiped before or while it was used: its time is over. Ask for it again; what it made is void."""


class KeyRefused(CryptoError):
    """The key-broker refused to give a key.

    Args:
        code: a stable word, such as `kms-key-disabled`; see `crypto.keyrequest`.
        message: what happened.
        remedy: what to do.
        retryable: whether the same request can succeed later without anybody acting.
    """

    def __init__(self, code: str, message: str, *, remedy: str = "", retryable: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.code = code
        self.retryable = retryable
