"""Sessions with AWS: a role assumed for each tenant, and KMS clients that use it. boto3 is imported here, at first use.

The session carries the tenant as a session tag. Policies compare it with the tenant in the encryption context, so AWS
itself, not only this code, keeps one tenant's session away from another tenant's keys. The tag comes from the ticket,
the context from the vault: a defect that confuses them is denied.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from config.answers import MALFORMED, Bounds, bound
from crypto.kms.aws_errors import attempt, error_without_answer, no_answer, role_denied
from crypto.kms.aws_uri import AwsOptions, AwsTarget
from crypto.kms.errors import AccessDenied, KmsUntrusted

TENANT_TAG: Final = "tenant"
SESSION_S: Final = 900
"""The shortest that STS gives: a stolen session ends soon, and a new one costs one call in that time."""
RENEW_BEFORE_S: Final = 120
MAX_ANSWER: Final = 64 << 10
"""Bytes of one answer: DescribeKey of a key with many replicas, the largest, has a fifth of it."""
MAX_SESSIONS: Final = 1024
"""Sessions kept; the one unused for longest is dropped first."""

_Parameters = tuple[str, str, str, str, str, str, str, float, float]


@dataclass(frozen=True, slots=True)
class _Session:
    """A KMS client and the time (seconds since epoch) from which another one is made."""

    client: Any
    renew_at: float


class AwsSessions:
    """KMS clients, one for each tenant, role and way to a KMS. Safe for several threads.

    Args:
        clock: seconds since epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._making: dict[tuple[bytes, _Parameters], threading.Lock] = {}
        self._sessions: OrderedDict[tuple[bytes, _Parameters], _Session] = OrderedDict()
        self._boto: dict[str, Any] = {}
        # Tells the brokers of one role apart in CloudTrail, and says nothing about their hosts.
        self._instance = os.urandom(4).hex()

    def client(self, target: AwsTarget, tenant: bytes, role: str) -> Any:
        """A KMS client for the target's Region, as `role` with the tenant's tag; as the broker itself without a role.

        Raises:
            KmsError: the role cannot be assumed, or there are no credentials to do so.
        """
        key = (tenant, _parameters(target, role))
        with self._guard:
            making = self._making.setdefault(key, threading.Lock())
        # One call to STS for each tenant at a time; other tenants do not wait for it.
        with making:
            with self._guard:
                session = self._sessions.get(key)
                if session is not None and self._clock() < session.renew_at:
                    self._sessions.move_to_end(key)
                    return session.client
            session = self._begin(target, tenant, role)
            with self._guard:
                self._sessions[key] = session
                self._sessions.move_to_end(key)
                while len(self._sessions) > MAX_SESSIONS:
                    dropped, _ = self._sessions.popitem(last=False)
                    self._making.pop(dropped, None)
            return session.client

    def forget(self, target: AwsTarget, tenant: bytes, role: str) -> None:
        """Begin a new session at the next call: AWS said that this one has ended."""
        with self._guard:
            self._sessions.pop((tenant, _parameters(target, role)), None)

    def close(self) -> None:
        """Close every connection and forget every session."""
        with self._guard:
            for session in self._sessions.values():
                session.client.close()
            self._sessions.clear()
            self._making.clear()
            self._boto.clear()

    def _begin(self, target: AwsTarget, tenant: bytes, role: str) -> _Session:
        if target.options.ca_file and not os.access(target.options.ca_file, os.R_OK):
            raise KmsUntrusted("the CA bundle for AWS KMS cannot be read")
        if not role:
            # The broker's own credentials renew themselves.
            return _Session(self._make(target, "kms", target.options.endpoint, {}), float("inf"))
        sts = self._make(target, "sts", target.options.sts_endpoint, {})
        try:
            given = self._assume(sts, target.options, tenant, role)
        finally:
            sts.close()
        try:
            credentials = {
                "aws_access_key_id": given["AccessKeyId"],
                "aws_secret_access_key": given["SecretAccessKey"],
                "aws_session_token": given["SessionToken"],
            }
            ends_at = min(given["Expiration"].timestamp(), self._clock() + SESSION_S)
        except MALFORMED:
            ends_at = 0.0
        if not ends_at:
            raise no_answer()
        return _Session(
            self._make(target, "kms", target.options.endpoint, credentials), ends_at - RENEW_BEFORE_S
        )

    def _assume(self, sts: Any, options: AwsOptions, tenant: bytes, role: str) -> Any:
        arguments: dict[str, Any] = {
            "RoleArn": role,
            "RoleSessionName": f"strongroom-{self._instance}-{tenant[:4].hex()}",
            "DurationSeconds": SESSION_S,
            "Tags": [{"Key": TENANT_TAG, "Value": tenant.hex()}],
        }
        if options.external_id:
            arguments["ExternalId"] = options.external_id
        answer, error = attempt(lambda: sts.assume_role(**arguments))
        if isinstance(error, AccessDenied):
            raise role_denied(answer)
        if error is not None:
            raise error
        return answer.get("Credentials", {})

    def _make(self, target: AwsTarget, service: str, endpoint: str, credentials: dict[str, str]) -> Any:
        """A client of one service. botocore makes clients from one thread at a time only."""
        options = target.options
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError

            config = Config(
                connect_timeout=options.connect_timeout_s,
                read_timeout=options.read_timeout_s,
                # The gateway tries again, within its deadline and limits; two loops would multiply.
                retries={"mode": "standard", "total_max_attempts": 1},
                # An endpoint in the environment would not pass through the checks of ours.
                ignore_configured_endpoint_urls=True,
                user_agent_extra="strongroom",
            )
            with self._guard:
                boto = self._boto.get(options.profile)
                if boto is None:
                    boto = boto3.session.Session(profile_name=options.profile or None)
                    self._boto[options.profile] = boto
                client = boto.client(
                    service,
                    region_name=target.arn.region,
                    endpoint_url=endpoint or None,
                    verify=options.ca_file or None,
                    config=config,
                    **credentials,
                )
                bound(client, Bounds(MAX_ANSWER))
        except (BotoCoreError, OSError, ValueError) as error:
            raise error_without_answer(error) from None
        silence_boto()
        return client


def silence_boto() -> None:
    """Let no logger of boto3, botocore and urllib3 say anything below INFO, whatever level somebody sets.

    botocore writes whole answers at DEBUG, data keys and credentials among them (notes, 0: parsers.py:256).
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("boto3", "botocore", "urllib3", "s3transfer"):
            logging.getLogger(name).addFilter(_not_debug)


def _not_debug(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.INFO


def _parameters(target: AwsTarget, role: str) -> _Parameters:
    options = target.options
    return (
        target.arn.region,
        role,
        options.external_id,
        options.endpoint,
        options.sts_endpoint,
        str(Path(options.ca_file)) if options.ca_file else "",
        options.profile,
        options.connect_timeout_s,
        options.read_timeout_s,
    )
