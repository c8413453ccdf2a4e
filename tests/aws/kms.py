"""The operations of the fake KMS: parameters, then key, then permission, then state, then DryRun, then the act."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from tests.aws.keys import DAY_S, Clock, Key, KeyRing
from tests.aws.policy import Ask, Caller, Policy, PolicyError, Values, allowed
from tests.aws.sigv4 import AwsRefusal

MAX_PLAINTEXT = 4096
MAX_CIPHERTEXT = 6144
_PARAMETERS = {
    "GenerateDataKey": {"KeyId", "EncryptionContext", "NumberOfBytes", "KeySpec", "DryRun"},
    "GenerateDataKeyWithoutPlaintext": {"KeyId", "EncryptionContext", "NumberOfBytes", "KeySpec", "DryRun"},
    "Encrypt": {"KeyId", "Plaintext", "EncryptionContext", "EncryptionAlgorithm", "DryRun"},
    "Decrypt": {"CiphertextBlob", "EncryptionContext", "KeyId", "EncryptionAlgorithm", "DryRun"},
    "ReEncrypt": {
        "CiphertextBlob",
        "SourceEncryptionContext",
        "SourceKeyId",
        "DestinationKeyId",
        "DestinationEncryptionContext",
        "DryRun",
    },
    "DescribeKey": {"KeyId"},
    "EnableKey": {"KeyId"},
    "DisableKey": {"KeyId"},
    "ScheduleKeyDeletion": {"KeyId", "PendingWindowInDays"},
    "CancelKeyDeletion": {"KeyId"},
    "PutKeyPolicy": {"KeyId", "Policy", "PolicyName"},
    "RotateKeyOnDemand": {"KeyId"},
    "EnableKeyRotation": {"KeyId", "RotationPeriodInDays"},
    "ListKeyRotations": {"KeyId", "IncludeKeyMaterial"},
}

Request = Mapping[str, Any]
Answer = dict[str, Any]


class FakeKms:
    """KMS for one caller at a time; holds nothing but the keys.

    Args:
        keys: of all accounts and Regions.
        clock: seconds since epoch.
    """

    def __init__(self, keys: KeyRing, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._operations: Mapping[str, Callable[[Caller, str, Request], Answer]] = {
            "GenerateDataKey": self._generate,
            "GenerateDataKeyWithoutPlaintext": self._generate_sealed,
            "Encrypt": self._encrypt,
            "Decrypt": self._decrypt,
            "ReEncrypt": self._reencrypt,
            "DescribeKey": self._describe,
            "EnableKey": self._enable,
            "DisableKey": self._disable,
            "ScheduleKeyDeletion": self._schedule,
            "CancelKeyDeletion": self._cancel,
            "PutKeyPolicy": self._put_policy,
            "RotateKeyOnDemand": self._rotate,
            "EnableKeyRotation": self._rotate_every,
            "ListKeyRotations": self._rotations,
        }

    def answer(self, operation: str, caller: Caller, region: str, body: bytes) -> Answer:
        """Do one operation.

        Raises:
            AwsRefusal: whatever AWS would say in its place.
        """
        act = self._operations.get(operation)
        if act is None:
            raise AwsRefusal("UnknownOperationException", "")
        try:
            request = json.loads(body)
        except ValueError as error:
            raise AwsRefusal("SerializationException", "not JSON") from error
        if not isinstance(request, dict):
            raise AwsRefusal("SerializationException", "not an object")
        unknown = set(request) - _PARAMETERS[operation]
        if unknown:
            # AWS passes over some of them; a test must not depend on it.
            raise AwsRefusal("ValidationException", f"unknown parameters {sorted(unknown)}")
        self._keys.next_request()
        return act(caller, region, request)

    def _key(self, caller: Caller, region: str, arn: Any, action: str, context: Request | None = None) -> Key:
        """The key, once the caller is known to be allowed to do this with it."""
        if not isinstance(arn, str) or not 1 <= len(arn) <= 2048:
            raise AwsRefusal("ValidationException", "KeyId is required")
        key = self._keys.find(arn, region, caller.account)
        self._allow(caller, key, action, context or {})
        return key

    def _allow(
        self, caller: Caller, key: Key, action: str, context: Mapping[str, str], **more: Values
    ) -> None:
        keys: dict[str, Values] = {"kms:calleraccount": (caller.account,), **more}
        if context:
            keys["kms:encryptioncontextkeys"] = tuple(context)
            keys.update(
                {f"kms:encryptioncontext:{name.lower()}": (value,) for name, value in context.items()}
            )
        ask = Ask(f"kms:{action}", key.arn, keys)
        if not allowed(caller, ask, key.seen().policy, key.account, needs_both=True):
            raise AwsRefusal(
                "AccessDeniedException",
                f"User: {caller.session_arn} is not authorized to perform: kms:{action} on resource: {key.arn}"
                " because no resource-based policy allows it",
            )

    def _generate(self, caller: Caller, region: str, request: Request) -> Answer:
        context, count = _context(request, "EncryptionContext"), _count(request)
        key = self._key(caller, region, request.get("KeyId"), "GenerateDataKey", context)
        _use(key, request)
        plaintext = os.urandom(count)
        return {
            "CiphertextBlob": _text(key.material.wrap(plaintext, context)),
            "Plaintext": _text(plaintext),
            "KeyId": key.arn,
            "KeyMaterialId": key.material.current,
        }

    def _generate_sealed(self, caller: Caller, region: str, request: Request) -> Answer:
        context, count = _context(request, "EncryptionContext"), _count(request)
        key = self._key(caller, region, request.get("KeyId"), "GenerateDataKeyWithoutPlaintext", context)
        _use(key, request)
        blob = key.material.wrap(os.urandom(count), context)
        return {"CiphertextBlob": _text(blob), "KeyId": key.arn, "KeyMaterialId": key.material.current}

    def _encrypt(self, caller: Caller, region: str, request: Request) -> Answer:
        context, plaintext = (
            _context(request, "EncryptionContext"),
            _blob(request, "Plaintext", MAX_PLAINTEXT),
        )
        key = self._key(caller, region, request.get("KeyId"), "Encrypt", context)
        _use(key, request)
        blob = key.material.wrap(plaintext, context)
        return {"CiphertextBlob": _text(blob), "KeyId": key.arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}

    def _decrypt(self, caller: Caller, region: str, request: Request) -> Answer:
        context, blob = (
            _context(request, "EncryptionContext"),
            _blob(request, "CiphertextBlob", MAX_CIPHERTEXT),
        )
        key = self._opener(caller, region, request.get("KeyId"), blob, "Decrypt", context)
        _use(key, request)
        plaintext, material_id = key.material.unwrap(blob, context)
        return {
            "Plaintext": _text(plaintext),
            "KeyId": key.arn,
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "KeyMaterialId": material_id,
        }

    def _reencrypt(self, caller: Caller, region: str, request: Request) -> Answer:
        source = _context(request, "SourceEncryptionContext")
        target = _context(request, "DestinationEncryptionContext")
        blob = _blob(request, "CiphertextBlob", MAX_CIPHERTEXT)
        old = self._opener(caller, region, request.get("SourceKeyId"), blob, "ReEncryptFrom", source)
        new = self._key(caller, region, request.get("DestinationKeyId"), "ReEncryptTo", target)
        new.require_usable()
        _use(old, request)
        plaintext, material_id = old.material.unwrap(blob, source)
        return {
            "CiphertextBlob": _text(new.material.wrap(plaintext, target)),
            "SourceKeyId": old.arn,
            "KeyId": new.arn,
            "SourceKeyMaterialId": material_id,
            "DestinationKeyMaterialId": new.material.current,
        }

    def _opener(
        self, caller: Caller, region: str, arn: Any, blob: bytes, action: str, context: Mapping[str, str]
    ) -> Key:
        """The key that is to open a blob: the one named, which must have made it, or else the one it names."""
        if arn is None:
            key = self._keys.find_blob(blob, region, caller.account)
            self._allow(caller, key, action, context)
            return key
        key = self._key(caller, region, arn, action, context)
        if self._keys.key_of_blob(blob) != key.material.key:
            key.require_usable()
            raise AwsRefusal(
                "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this operation.",
            )
        return key

    def _describe(self, caller: Caller, region: str, request: Request) -> Answer:
        key = self._key(caller, region, request.get("KeyId"), "DescribeKey")
        seen = key.seen()
        data = {
            "AWSAccountId": key.account,
            "KeyId": key.arn.rpartition("/")[2],
            "Arn": key.arn,
            "CreationDate": key.created,
            "Enabled": seen.state == "Enabled",
            "KeyUsage": key.usage,
            "KeyState": seen.state,
            "Origin": key.origin,
            "KeyManager": key.manager,
            "KeySpec": key.spec,
            "MultiRegion": key.material.key.startswith("mrk-"),
        }
        if seen.deletion:
            data["DeletionDate"] = seen.deletion
        if seen.state not in ("PendingImport", "Creating"):
            data["CurrentKeyMaterialId"] = key.material.current
        return {"KeyMetadata": data}

    def _enable(self, caller: Caller, region: str, request: Request) -> Answer:
        key = self._key(caller, region, request.get("KeyId"), "EnableKey")
        if key.latest.state not in ("Enabled", "Disabled"):
            raise AwsRefusal("KMSInvalidStateException", f"{key.arn} is {key.latest.state}")
        key.change(state="Enabled")
        return {}

    def _disable(self, caller: Caller, region: str, request: Request) -> Answer:
        key = self._key(caller, region, request.get("KeyId"), "DisableKey")
        if key.latest.state not in ("Enabled", "Disabled"):
            raise AwsRefusal("KMSInvalidStateException", f"{key.arn} is {key.latest.state}")
        key.change(state="Disabled")
        return {}

    def _schedule(self, caller: Caller, region: str, request: Request) -> Answer:
        key = self._key(caller, region, request.get("KeyId"), "ScheduleKeyDeletion")
        days = request.get("PendingWindowInDays", 30)
        if not isinstance(days, int) or not 7 <= days <= 30:
            raise AwsRefusal("ValidationException", "7 to 30 days")
        if key.latest.state in ("PendingDeletion", "PendingReplicaDeletion"):
            raise AwsRefusal("KMSInvalidStateException", f"{key.arn} is pending deletion.")
        key.change(state="PendingDeletion", deletion=self._clock() + days * DAY_S)
        return {"KeyId": key.arn, "DeletionDate": key.latest.deletion, "KeyState": "PendingDeletion"}

    def _cancel(self, caller: Caller, region: str, request: Request) -> Answer:
        key = self._key(caller, region, request.get("KeyId"), "CancelKeyDeletion")
        if key.latest.state != "PendingDeletion":
            raise AwsRefusal("KMSInvalidStateException", f"{key.arn} is not pending deletion.")
        key.change(state="Disabled", deletion=0.0)
        return {"KeyId": key.arn}

    def _put_policy(self, caller: Caller, region: str, request: Request) -> Answer:
        key = self._key(caller, region, request.get("KeyId"), "PutKeyPolicy")
        try:
            key.change(policy=Policy.resource(json.loads(request.get("Policy", ""))))
        except (PolicyError, ValueError) as error:
            raise AwsRefusal("MalformedPolicyDocumentException", str(error)) from error
        return {}

    def _rotate(self, caller: Caller, region: str, request: Request) -> Answer:
        key = self._key(caller, region, request.get("KeyId"), "RotateKeyOnDemand")
        key.require_usable()
        self._keys.rotate_on_demand(key)
        return {"KeyId": key.arn}

    def _rotate_every(self, caller: Caller, region: str, request: Request) -> Answer:
        key = self._key(caller, region, request.get("KeyId"), "EnableKeyRotation")
        days = request.get("RotationPeriodInDays", 365)
        if not isinstance(days, int) or not 90 <= days <= 2560:
            raise AwsRefusal("ValidationException", "90 to 2560 days")
        key.require_usable()
        self._keys.rotate_every(key, days)
        return {}

    def _rotations(self, caller: Caller, region: str, request: Request) -> Answer:
        key = self._key(caller, region, request.get("KeyId"), "ListKeyRotations")
        return {
            "Rotations": [
                {"KeyId": key.arn, "KeyMaterialId": material, "RotationType": kind, "RotationDate": when}
                for material, kind, when in key.material.rotations
            ],
            "Truncated": False,
        }


def _use(key: Key, request: Request) -> None:
    """Refuse a key of another kind or state; then a dry run ends here, with what AWS calls its success."""
    if key.spec != "SYMMETRIC_DEFAULT" or key.usage != "ENCRYPT_DECRYPT":
        raise AwsRefusal("InvalidKeyUsageException", f"{key.arn} key usage is {key.usage}")
    key.require_usable()
    if request.get("DryRun"):
        raise AwsRefusal(
            "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.", 412
        )


def _context(request: Request, name: str) -> dict[str, str]:
    context = request.get(name, {})
    if not isinstance(context, dict) or not all(
        isinstance(key, str) and isinstance(value, str) and key for key, value in context.items()
    ):
        raise AwsRefusal("ValidationException", f"{name} is a map of strings")
    if sum(len(key.encode()) + len(value.encode()) for key, value in context.items()) > 8192:
        raise AwsRefusal("ValidationException", f"{name} is too large")
    return dict(context)


def _count(request: Request) -> int:
    spec, count = request.get("KeySpec"), request.get("NumberOfBytes")
    if (spec is None) == (count is None):
        raise AwsRefusal("ValidationException", "Please specify either number of bytes or key spec.")
    if spec is not None:
        if spec not in ("AES_128", "AES_256"):
            raise AwsRefusal("ValidationException", "KeySpec")
        return 16 if spec == "AES_128" else 32
    if not isinstance(count, int) or not 1 <= count <= 1024:
        raise AwsRefusal("ValidationException", "NumberOfBytes")
    return count


def _blob(request: Request, name: str, limit: int) -> bytes:
    text = request.get(name)
    try:
        blob = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except binascii.Error as error:
        raise AwsRefusal("SerializationException", name) from error
    if not 1 <= len(blob) <= limit:
        raise AwsRefusal("ValidationException", name)
    return blob


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
