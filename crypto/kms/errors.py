"""Everything a KMS can answer other than the key.

    KmsError
    ├── KeyDisabled           the customer switched the CMK off
    ├── KeyPendingDeletion    the CMK will be destroyed on a date; until then it is off
    ├── KeyNotFound           no such CMK, or it was destroyed
    ├── AccessDenied          the KMS does not let this broker use the CMK
    ├── InvalidCiphertext     the wrapped key or its encryption context was altered
    ├── IncorrectKey          the wrapped key belongs to another CMK
    ├── Throttled             too many calls (retryable)
    ├── KmsUnavailable        the KMS cannot be reached, or its disk failed (retryable)
    ├── WrongPassphrase       the local keystore does not open
    ├── KeystoreDamaged       the local keystore is not readable as one
    ├── KeyExists             a CMK of that name is there already
    └── UnsupportedKms        the URI names no KMS of this release

"Permanent or retryable" is decided here and nowhere else: by the class attribute `retryable`.
"""

from __future__ import annotations

from typing import ClassVar

from config.errors import StrongroomError


class KmsError(StrongroomError):
    """A KMS did not do what it was asked.

    Args:
        message: what happened, without key material.
        remedy: what to do; the class's own advice when empty.

    `code` is the stable word that refusals, the audit log and counters carry: one of
    `crypto.keyrequest.REFUSALS`.
    """

    code: ClassVar[str] = "kms-unavailable"
    retryable: ClassVar[bool] = False
    advice: ClassVar[str] = ""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy or self.advice)


class KeyDisabled(KmsError):
    """The CMK is disabled: nothing can be encrypted or decrypted for its tenant."""

    code = "kms-key-disabled"
    advice = "enable the key in its KMS (for local-kms: strongroom-kms enable NAME) and try again"


class KeyPendingDeletion(KmsError):
    """The CMK is scheduled for deletion and unusable; after its date every vault under it is lost."""

    code = "kms-key-pending-deletion"
    advice = (
        "cancel the deletion before its date and enable the key again "
        "(for local-kms: strongroom-kms cancel-deletion NAME, then strongroom-kms enable NAME)"
    )


class KeyNotFound(KmsError):
    """There is no such CMK here, or it was destroyed."""

    code = "kms-key-not-found"
    advice = "check the name in the vault's KMS URI and that this is the KMS that the vault was made with"


class AccessDenied(KmsError):
    """The KMS refuses this broker the use of the CMK."""

    code = "kms-access-denied"
    advice = "check the key policy in the KMS and the permissions of the keystore's files"


class InvalidCiphertext(KmsError):
    """The wrapped key does not open: it, or the context it is bound to, was altered."""

    code = "kms-invalid-ciphertext"
    advice = (
        "treat it as damage or tampering: restore the vault's key records from a good copy and run a check"
    )


class IncorrectKey(KmsError):
    """The wrapped key was made by another CMK than the one asked."""

    code = "kms-invalid-ciphertext"
    advice = "use the KMS URI of the key that wrapped it"


class Throttled(KmsError):
    """More calls than the KMS, or the limits in front of it, allow."""

    code = "kms-throttled"
    retryable = True
    advice = "wait and try again, or raise the limits in section [kms] of the settings"


class KmsUnavailable(KmsError):
    """The KMS cannot be reached or cannot answer now."""

    retryable = True
    advice = "check that the KMS is up and reachable from the key-broker, then try again"


class WrongPassphrase(KmsError):
    """The passphrase or key file does not open the local keystore."""

    code = "kms-wrong-passphrase"
    advice = "give the passphrase (or key file) that the keystore was made with"


class KeystoreDamaged(KmsError):
    """The local keystore's file is not a keystore of this version, or was altered."""

    code = "kms-unavailable"
    advice = "restore the keystore's folder from a copy"


class KeyExists(KmsError):
    """A CMK of that name exists."""

    advice = "choose another name"


class UnsupportedKms(KmsError):
    """The URI names no KMS that this release can use."""

    code = "kms-key-not-found"
    advice = "use local-kms://NAME"
