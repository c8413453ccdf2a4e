"""The keys of the fake: states, material, rotation, replicas, and what a change looks like before it has spread.

A blob opens under the material that made it and under exactly its context. Its layout is the fake's own; a test that
depends on it would not work against AWS.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.aws.policy import Policy
from tests.aws.sigv4 import AwsRefusal

DAY_S = 86_400.0
MAX_ON_DEMAND_ROTATIONS = 25
_MAGIC = b"FAKE\x01"
_TAIL_BYTES = 12 + 16
_ID_BYTES = 16
_MATERIAL_BYTES = 32

Clock = Callable[[], float]


def enabled_by_root(account: str) -> dict[str, Any]:
    """The key policy that KMS gives a key by default: the account's IAM policies decide."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "EnableRoot",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }


@dataclass(frozen=True)
class Settings:
    """What can change of a key in one Region: all of it spreads with delay.

    Attributes:
        state: as DescribeKey says it.
        policy: the key policy.
        deletion: seconds since epoch; 0 for never.
    """

    state: str
    policy: Policy
    deletion: float = 0.0


@dataclass
class Material:
    """The generations of a key's material, shared by the replicas of a multi-Region key. The last one wraps."""

    key: str
    generations: dict[str, bytes] = field(default_factory=dict)
    rotations: list[tuple[str, str, float]] = field(default_factory=list)
    """(material id, AUTOMATIC or ON_DEMAND, when)"""
    period_days: int = 0
    next_rotation: float = 0.0

    @property
    def current(self) -> str:
        return next(reversed(self.generations))

    def turn(self, kind: str, when: float) -> None:
        secret = os.urandom(32)
        material_id = hashlib.sha256(b"material id" + secret).hexdigest()
        self.generations[material_id] = secret
        if kind:
            self.rotations.append((material_id, kind, when))

    def wrap(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        nonce = os.urandom(12)
        head = _MAGIC + _id_bytes(self.key) + bytes.fromhex(self.current)
        sealed = AESGCM(self.generations[self.current]).encrypt(nonce, plaintext, head + _bound(context))
        return head + nonce + sealed

    def unwrap(self, blob: bytes, context: Mapping[str, str]) -> tuple[bytes, str]:
        """The plaintext and the id of the material that opened it."""
        head, nonce, sealed = (
            blob[:_HEAD_BYTES],
            blob[_HEAD_BYTES : _HEAD_BYTES + 12],
            blob[_HEAD_BYTES + 12 :],
        )
        material_id = head[-_MATERIAL_BYTES:].hex()
        secret = self.generations.get(material_id)
        if secret is None:
            raise AwsRefusal("InvalidCiphertextException", "")
        try:
            return AESGCM(secret).decrypt(nonce, sealed, head + _bound(context)), material_id
        except InvalidTag as error:
            raise AwsRefusal("InvalidCiphertextException", "") from error


_HEAD_BYTES = len(_MAGIC) + _ID_BYTES + _MATERIAL_BYTES


class Key:
    """A key in one Region.

    Args:
        arn: its own.
        material: shared with its replicas.
        policy: the key policy.
        lag: gives the seconds that a change takes to spread.
        node: which of two nodes answers the present request.
        clock: seconds since epoch.
    """

    def __init__(
        self, arn: str, material: Material, policy: Policy, lag: Clock, node: Callable[[], int], clock: Clock
    ) -> None:
        self.arn = arn
        self.material = material
        self.created = clock()
        self.spec, self.usage, self.manager, self.origin = (
            "SYMMETRIC_DEFAULT",
            "ENCRYPT_DECRYPT",
            "CUSTOMER",
            "AWS_KMS",
        )
        self._lag, self._node, self._clock = lag, node, clock
        self._history: list[tuple[float, Settings]] = [(0.0, Settings("Enabled", policy))]
        self._guard = threading.Lock()

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    @property
    def latest(self) -> Settings:
        """What was set last, whether it has spread or not."""
        return self._history[-1][1]

    def change(self, **changes: Any) -> None:
        """Set something; requests see it when it has spread, and until then now one and now the other."""
        with self._guard:
            self._history.append((self._clock() + self._lag(), replace(self.latest, **changes)))

    def seen(self) -> Settings:
        """What the node that answers this request knows: while a change spreads, one of two sees the old."""
        with self._guard:
            now = self._clock()
            spread = [settings for when, settings in self._history if when <= now]
            return self.latest if self._node() else spread[-1]

    def require_usable(self) -> None:
        """Refuse a key that is not in a state for cryptographic operations.

        Source: AWS KMS developer guide, "Key states of AWS KMS keys", the table's rows Decrypt, GenerateDataKey and
        ReEncrypt.
        """
        state = self.seen().state
        if state in ("Enabled", "Updating"):
            return
        if state == "Disabled":
            raise AwsRefusal("DisabledException", f"{self.arn} is disabled.")
        words = {
            "PendingDeletion": "is pending deletion.",
            "PendingReplicaDeletion": "is pending replica deletion.",
            "PendingImport": "is pending import.",
        }
        raise AwsRefusal(
            "KMSInvalidStateException", f"{self.arn} {words.get(state, 'is in an invalid state.')}"
        )


class KeyRing:
    """Every key of every account and Region of the fake.

    Args:
        clock: seconds since epoch.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.lag_s = 0.0
        self._keys: dict[str, Key] = {}
        self._guard = threading.Lock()
        self._requests = 0

    def next_request(self) -> None:
        """Another request comes in; the other node answers it."""
        self._requests += 1

    def create(
        self,
        account: str,
        region: str = "eu-central-1",
        policy: Mapping[str, Any] | None = None,
        *,
        multi_region: bool = False,
    ) -> Key:
        """A new key, enabled."""
        key_id = f"mrk-{uuid.uuid4().hex}" if multi_region else str(uuid.uuid4())
        material = Material(key_id)
        material.turn("", self._clock())
        return self._add(f"arn:aws:kms:{region}:{account}:key/{key_id}", material, policy)

    def replicate(self, key: Key, region: str, policy: Mapping[str, Any] | None = None) -> Key:
        """A replica of a multi-Region key: the same material, but its own policy and state."""
        if not key.material.key.startswith("mrk-"):
            raise ValueError("only a multi-Region key has replicas")
        return self._add(f"arn:aws:kms:{region}:{key.account}:key/{key.material.key}", key.material, policy)

    def find(self, arn: str, region: str, account: str) -> Key:
        """The key that a request to `region` names by ARN or, in its own account, by id.

        Raises:
            AwsRefusal: there is none, any more or yet.
        """
        self._pass_time()
        full = arn if arn.startswith("arn:") else f"arn:aws:kms:{region}:{account}:key/{arn}"
        if ":alias/" in full or full.count(":") != 5:
            raise AwsRefusal("NotFoundException", f"Alias {arn} is not found.")
        if full.split(":")[3] != region:
            raise AwsRefusal("NotFoundException", f"Invalid arn {full.split(':')[3]}")
        key = self._keys.get(full)
        if key is None:
            raise AwsRefusal("NotFoundException", f"Key '{full}' does not exist")
        return key

    def find_blob(self, blob: bytes, region: str, account: str) -> Key:
        """The key of that Region whose material made a blob.

        Raises:
            AwsRefusal: there is none.
        """
        key_id = self.key_of_blob(blob)
        for key in self._keys.values():
            if key.material.key == key_id and key.region == region:
                return key
        raise AwsRefusal(
            "AccessDeniedException",
            "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or"
            " you are not allowed to access.",
        )

    def key_of_blob(self, blob: bytes) -> str:
        """The id of the key that a blob names.

        Raises:
            AwsRefusal: it is no blob, or its key is none that was ever here.
        """
        if blob[: len(_MAGIC)] != _MAGIC or len(blob) <= _HEAD_BYTES + _TAIL_BYTES:
            raise AwsRefusal("InvalidCiphertextException", "")
        named = blob[len(_MAGIC) : len(_MAGIC) + _ID_BYTES]
        for key in self._keys.values():
            if _id_bytes(key.material.key) == named:
                return key.material.key
        raise AwsRefusal("InvalidCiphertextException", "")

    def rotate_on_demand(self, key: Key) -> None:
        """RotateKeyOnDemand.

        Raises:
            AwsRefusal: its limit is reached.
        """
        done = sum(kind == "ON_DEMAND" for _, kind, _ in key.material.rotations)
        if done >= MAX_ON_DEMAND_ROTATIONS:
            raise AwsRefusal("LimitExceededException", "on-demand rotations are used up")
        key.material.turn("ON_DEMAND", self._clock())

    def rotate_every(self, key: Key, days: int) -> None:
        """EnableKeyRotation."""
        key.material.period_days = days
        key.material.next_rotation = self._clock() + days * DAY_S

    def _add(self, arn: str, material: Material, policy: Mapping[str, Any] | None) -> Key:
        checked = Policy.resource(policy or enabled_by_root(arn.split(":")[4]))
        key = Key(arn, material, checked, lambda: self.lag_s, lambda: self._requests % 2, self._clock)
        with self._guard:
            self._keys[arn] = key
        return key

    def _pass_time(self) -> None:
        """Let happen what is due: scheduled deletions and automatic rotations."""
        now = self._clock()
        with self._guard:
            for arn, key in list(self._keys.items()):
                if 0 < key.latest.deletion <= now:
                    del self._keys[arn]
                material = key.material
                while material.period_days and material.next_rotation <= now:
                    material.turn("AUTOMATIC", material.next_rotation)
                    material.next_rotation += material.period_days * DAY_S


def _id_bytes(key_id: str) -> bytes:
    return uuid.UUID(key_id.removeprefix("mrk-")).bytes


def _bound(context: Mapping[str, str]) -> bytes:
    return json.dumps(sorted(context.items())).encode()
