"""The principals of the fake: users with lasting keys, roles, and the sessions that STS gives."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.aws.keys import Clock
from tests.aws.policy import Caller, Policy
from tests.aws.sigv4 import AwsRefusal


@dataclass
class Role:
    """A role: who may take it, and what it may do."""

    arn: str
    trust: Policy
    policies: list[Policy] = field(default_factory=list)
    max_session_s: int = 3600

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]


@dataclass(frozen=True)
class Credentials:
    """What a client signs with.

    Attributes:
        token: of a session; "" for lasting keys.
        expires: seconds since epoch; infinity for lasting keys.
        role: its policies count as they are at the request; None for a user.
        caller: without the role's policies.
    """

    key_id: str
    secret: str
    token: str
    expires: float
    role: Role | None
    caller: Caller

    def boto(self) -> dict[str, str]:
        """As arguments of a boto3 client."""
        named = {"aws_access_key_id": self.key_id, "aws_secret_access_key": self.secret}
        return named | ({"aws_session_token": self.token} if self.token else {})

    def environment(self) -> dict[str, str]:
        """As environment variables."""
        return {name.upper(): value for name, value in self.boto().items()}


class Iam:
    """Accounts' principals.

    Args:
        clock: seconds since epoch.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._credentials: dict[str, Credentials] = {}
        self.roles: dict[str, Role] = {}

    def user(self, account: str, name: str, *policies: Mapping[str, Any]) -> Credentials:
        """A user with lasting keys."""
        arn = f"arn:aws:iam::{account}:user/{name}"
        caller = Caller(account, arn, arn, tuple(Policy.identity(each) for each in policies))
        return self._remember("AKIA", "", float("inf"), None, caller)

    def role(self, arn: str, trust: Mapping[str, Any], *policies: Mapping[str, Any]) -> Role:
        """A role."""
        made = Role(arn, Policy.resource(trust), [Policy.identity(each) for each in policies])
        self.roles[arn] = made
        return made

    def session(
        self, role: Role, name: str, seconds: int = 3600, tags: Mapping[str, str] | None = None
    ) -> Credentials:
        """Temporary credentials of a role; whoever calls this has asked the trust policy, or is an instance profile."""
        path = role.arn.partition(":role/")[2].rpartition("/")[2]
        session_arn = f"arn:aws:sts::{role.account}:assumed-role/{path}/{name}"
        caller = Caller(role.account, role.arn, session_arn, (), dict(tags or {}))
        return self._remember("ASIA", secrets.token_hex(64), self._clock() + seconds, role, caller)

    def authenticate(self, key_id: str, token: str) -> tuple[Credentials, Caller]:
        """Whose credentials those are.

        Raises:
            AwsRefusal: nobody's, or they have expired.
        """
        found = self._credentials.get(key_id)
        if found is None or found.token != token:
            raise AwsRefusal(
                "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        if found.expires <= self._clock():
            raise AwsRefusal("ExpiredTokenException", "The security token included in the request is expired")
        caller = found.caller
        if found.role is not None:
            caller = Caller(
                caller.account, caller.role_arn, caller.session_arn, tuple(found.role.policies), caller.tags
            )
        return found, caller

    def _remember(
        self, start: str, token: str, expires: float, role: Role | None, caller: Caller
    ) -> Credentials:
        made = Credentials(
            start + secrets.token_hex(8).upper(), secrets.token_urlsafe(30), token, expires, role, caller
        )
        with self._guard:
            self._credentials[made.key_id] = made
        return made
