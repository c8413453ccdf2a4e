"""Everything a KMS can answer other than the key.

    KmsError
    ├── KeyDisabled           the customer switched the CMK off
    ├── KeyPendingDeletion    the CMK will be destroyed on a date; until then it is off
    ├── KeyNotFound           no such CMK, or it was destroyed
    ├── AccessDenied          the KMS does not let this broker use the CMK
    ├── InvalidCiphertext     the wrapped key or its encryption context was altered
    ├── IncorrectKey          the wrapped key belongs to another CMK
    ├── KeyUnusable           the CMK's material is not there, or it is no key for this purpose
    ├── Throttled             too many calls (retryable)
    ├── KmsUnavailable        the KMS cannot be reached, or its disk failed (retryable)
    ├── KmsUntrusted          what answers is not shown to be the KMS: its certificate does not hold
    ├── NoCredentials         the key-broker has no valid credentials of its own for the KMS
    ├── KmsMisused            the KMS does not take the call as it was made
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


class KeyUnusable(KmsError):
    """The CMK exists and is allowed, but cannot be used: no material, its store is away, or the wrong kind of key."""

    code = "kms-key-unusable"
    advice = "import the key's material again, connect its key store, or use a symmetric key that you manage"


class Throttled(KmsError):
    """More calls than the KMS, or the limits in front of it, allow."""

    code = "kms-throttled"
    retryable = True
    advice = "wait and try again, or raise the limits in section [kms] of the settings"


class KmsUnavailable(KmsError):
    """The KMS cannot be reached or cannot answer now."""

    retryable = True
    advice = "check that the KMS is up and reachable from the key-broker, then try again"


class KmsUntrusted(KmsError):
    """The connection is not proven to be to the KMS, so nothing was asked."""

    advice = "name the CA bundle that signed the KMS endpoint's certificate in kms.aws_ca_file"


class NoCredentials(KmsError):
    """The key-broker's own credentials are missing, unknown or out of their time; the CMK was not asked."""

    advice = "give the key-broker's process valid AWS credentials (its role or profile), and check its clock"


class KmsMisused(KmsError):
    """The KMS refuses the call itself, not the use of the key: a setting or this release is at fault."""

    advice = "check the CMK's URI and section [kms] of the key-broker's settings"


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
    advice = "use local-kms://NAME or aws-kms://ARN"
