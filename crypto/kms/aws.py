"""`aws-kms://ARN`: one CMK of AWS KMS as a KMS provider, for one tenant.

The key is named in every call and compared with the one that AWS says it used. What AWS returns as a plaintext is an
immutable `bytes`, which no Python program can wipe: it is copied into a SecretKey and dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from crypto.kms.aws_errors import (
    DRY_RUN_SUCCEEDED,
    INVALID_STATE,
    SESSION_CODES,
    attempt,
    code_of,
    no_answer,
    request_id_of,
)
from crypto.kms.aws_session import AwsSessions
from crypto.kms.aws_uri import AwsTarget, KeyArn
from crypto.kms.errors import (
    IncorrectKey,
    KeyDisabled,
    KeyNotFound,
    KeyPendingDeletion,
    KeyUnusable,
    KmsError,
    KmsMisused,
    KmsUnavailable,
    UnsupportedKms,
)
from crypto.kms.keystore_file import day
from crypto.kms.provider import (
    DATA_KEY_BYTES,
    MAX_WRAPPED_BYTES,
    DataKey,
    EncryptionContext,
    KeyDescription,
    KeyState,
    Note,
    WrappedKey,
    no_note,
)
from crypto.secret import SecretKey

STATES: Final[Mapping[str, KeyState]] = {
    "Enabled": KeyState.ENABLED,
    "Updating": KeyState.ENABLED,
    "Disabled": KeyState.DISABLED,
    "PendingDeletion": KeyState.PENDING_DELETION,
    "PendingReplicaDeletion": KeyState.PENDING_DELETION,
    "PendingImport": KeyState.PENDING_IMPORT,
    "Unavailable": KeyState.UNAVAILABLE,
    "Creating": KeyState.UNAVAILABLE,
}
"""AWS KMS developer guide, "Key states of AWS KMS keys"; while it is Updating a key can be used."""

_MATERIAL_ID = re.compile(r"[0-9a-f]{64}")

Answer = Mapping[str, Any]


class AwsKms:
    """One CMK of AWS KMS, used on behalf of one tenant; implements `KmsProvider`.

    Args:
        target: the key and the way to it.
        tenant: 16 bytes; the session tag.
        sessions: makes the clients.
    """

    def __init__(self, target: AwsTarget, tenant: bytes, sessions: AwsSessions) -> None:
        self._target = target
        self._tenant = tenant
        self._sessions = sessions
        self._arn = str(target.arn)

    def generate(self, context: EncryptionContext, note: Note = no_note) -> DataKey:
        """See `KmsProvider.generate`."""
        answer = self._use(
            note,
            lambda client: client.generate_data_key(
                KeyId=self._arn, EncryptionContext=dict(context), NumberOfBytes=DATA_KEY_BYTES
            ),
        )
        self._require_key(answer, "KeyId", self._arn)
        return DataKey(_plaintext(answer), _wrapped(answer, self._arn, "KeyMaterialId"))

    def decrypt(self, wrapped: WrappedKey, context: EncryptionContext, note: Note = no_note) -> SecretKey:
        """See `KmsProvider.decrypt`.

        Raises:
            IncorrectKey: another CMK wrapped it.
            KmsError: see there.
        """
        if not _arn_of(wrapped).same_key(self._target.arn):
            raise IncorrectKey("the wrapped key was made by another CMK than the vault's")
        answer = self._use(
            note,
            lambda client: client.decrypt(
                KeyId=self._arn, CiphertextBlob=wrapped.blob, EncryptionContext=dict(context)
            ),
        )
        self._require_key(answer, "KeyId", self._arn)
        return _plaintext(answer)

    def reencrypt(
        self,
        wrapped: WrappedKey,
        source: EncryptionContext,
        target: EncryptionContext,
        note: Note = no_note,
    ) -> WrappedKey:
        """See `KmsProvider.reencrypt`. Both keys are named: a stolen session re-wraps to no key of its own.

        Raises:
            IncorrectKey: a CMK of another Region wrapped it.
            KmsError: see there.
        """
        old = _arn_of(wrapped)
        if old.same_key(self._target.arn):
            old = self._target.arn
        if old.region != self._target.arn.region:
            raise IncorrectKey(
                "the wrapped key was made by a CMK of another Region",
                remedy="AWS KMS re-encrypts within a Region; take a replica of a multi-Region key on the way",
            )
        answer = self._use(
            note,
            lambda client: client.re_encrypt(
                CiphertextBlob=wrapped.blob,
                SourceKeyId=str(old),
                SourceEncryptionContext=dict(source),
                DestinationKeyId=self._arn,
                DestinationEncryptionContext=dict(target),
            ),
            self._target.options.rewrap_role or self._target.options.role,
        )
        self._require_key(answer, "SourceKeyId", str(old))
        self._require_key(answer, "KeyId", self._arn)
        return _wrapped(answer, self._arn, "DestinationKeyMaterialId")

    def describe(self, note: Note = no_note) -> KeyDescription:
        """See `KmsProvider.describe`; a destroyed key is KeyNotFound here, because AWS forgets it."""
        return self._description(self._metadata(note))

    def create_missing(self, note: Note = no_note) -> None:
        """See `KmsProvider.create_missing`: makes nothing, but refuses a key that no vault should hang on.

        Raises:
            KeyUnusable: not a symmetric encryption key, or one that AWS manages: its owner could not switch it off.
            KeyDisabled, KeyPendingDeletion: it cannot be used now.
        """
        data = self._metadata(note)
        if data.get("KeySpec") != "SYMMETRIC_DEFAULT" or data.get("KeyUsage") != "ENCRYPT_DECRYPT":
            raise KeyUnusable("the key is not one for symmetric encryption")
        if data.get("KeyManager") != "CUSTOMER":
            raise KeyUnusable(
                "the key is managed by AWS, so its owner can neither limit its use nor switch it off",
                remedy="make a customer managed key and name it in the vault's KMS URI",
            )
        error = _state_error(self._description(data))
        if error is not None:
            raise error

    def probe(self, context: EncryptionContext, note: Note = no_note) -> None:
        """Find out whether a data key could be made now under this context; none is made.

        Raises:
            KmsError: why not.
        """
        try:
            self._use(
                note,
                lambda client: client.generate_data_key(
                    KeyId=self._arn,
                    EncryptionContext=dict(context),
                    NumberOfBytes=DATA_KEY_BYTES,
                    DryRun=True,
                ),
            )
        except _DryRunSucceeded:
            return
        raise KmsUnavailable("the KMS made a key where it was asked for a dry run: it is not AWS KMS")

    def _metadata(self, note: Note) -> Answer:
        answer = self._ask(
            note, lambda client: client.describe_key(KeyId=self._arn), self._target.options.role
        )
        data = answer.get("KeyMetadata", {})
        self._require_key(data, "Arn", self._arn)
        return data  # type: ignore[no-any-return]

    def _description(self, data: Answer) -> KeyDescription:
        deletion, state = data.get("DeletionDate"), data.get("KeyState")
        return KeyDescription(
            self._arn,
            STATES.get(state, KeyState.UNAVAILABLE) if isinstance(state, str) else KeyState.UNAVAILABLE,
            _material(data, "CurrentKeyMaterialId"),
            _ms(data.get("CreationDate")),
            _ms(deletion),
        )

    def _use(self, note: Note, call: Callable[[Any], Answer], role: str | None = None) -> Answer:
        """A call that uses the key: a key in no state for it is described, to say which state that is."""
        try:
            return self._ask(note, call, self._target.options.role if role is None else role)
        except _InvalidState:
            try:
                state = _state_error(self.describe(note))
            except KeyNotFound:
                raise
            except KmsError:
                state = None
            if state is None:
                raise
            raise state from None

    def _ask(self, note: Note, call: Callable[[Any], Answer], role: str) -> Answer:
        """One call, its request id noted, its failures translated."""
        client = self._sessions.client(self._target, self._tenant, role)
        answer, error = attempt(lambda: call(client))
        _noted(note, answer)
        if error is None:
            return answer
        code = code_of(answer)
        if code in SESSION_CODES:
            self._sessions.forget(self._target, self._tenant, role)
        if code == DRY_RUN_SUCCEEDED:
            raise _DryRunSucceeded(error.message)
        if code == INVALID_STATE:
            raise _InvalidState(error.message)
        raise error

    def _require_key(self, answer: Answer, field: str, arn: str) -> None:
        used = answer.get(field)
        if not isinstance(used, str):
            raise no_answer()
        if used != arn:
            raise IncorrectKey("AWS KMS used another key than the one it was asked to use")


class _DryRunSucceeded(KmsMisused):
    """AWS would have done it; outside a probe nobody asked for that."""


class _InvalidState(KeyUnusable):
    """The key is in no state for the call, as far as is known without asking further."""


def _state_error(description: KeyDescription) -> KmsError | None:
    """What is wrong with a key of that state; None when nothing is."""
    match description.state:
        case KeyState.ENABLED:
            return None
        case KeyState.DISABLED:
            return KeyDisabled("the key is disabled in AWS KMS")
        case KeyState.PENDING_DELETION:
            when = f" on {day(description.deletion_ms)}" if description.deletion_ms else ""
            return KeyPendingDeletion(
                f"the key is scheduled for deletion in AWS KMS and will be destroyed{when}; every vault under it is "
                "lost then",
                remedy="cancel the deletion before that date and enable the key again",
            )
        case KeyState.PENDING_IMPORT:
            return KeyUnusable("the key's imported material is not there: it expired or was deleted")
        case KeyState.UNAVAILABLE:
            return KeyUnusable("the key's custom key store is not connected, or the key is being made")
        case KeyState.DESTROYED:
            return KeyNotFound("the key was destroyed")


def _noted(note: Note, answer: Answer) -> None:
    request_id = request_id_of(answer)
    if request_id:
        note(request_id)


def _arn_of(wrapped: WrappedKey) -> KeyArn:
    try:
        return KeyArn.parse(wrapped.key_id)
    except UnsupportedKms as error:
        raise IncorrectKey("the wrapped key was made by another KMS than AWS KMS") from error


def _plaintext(answer: Answer) -> SecretKey:
    plaintext = answer.get("Plaintext")
    if not isinstance(plaintext, bytes) or len(plaintext) != DATA_KEY_BYTES:
        raise no_answer()
    return SecretKey(bytearray(plaintext))


def _wrapped(answer: Answer, arn: str, material: str) -> WrappedKey:
    blob = answer.get("CiphertextBlob")
    if not isinstance(blob, bytes) or not 0 < len(blob) <= MAX_WRAPPED_BYTES:
        raise no_answer()
    return WrappedKey(blob, arn, _material(answer, material))


def _material(answer: Answer, field: str) -> str:
    found = answer.get(field, "")
    return found if isinstance(found, str) and _MATERIAL_ID.fullmatch(found) else ""


def _ms(moment: Any) -> int:
    return round(moment.timestamp() * 1000) if hasattr(moment, "timestamp") else 0
