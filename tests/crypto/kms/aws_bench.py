"""The world as it is delivered, on the strict fake of AWS, and providers in it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crypto.kms.aws import AwsKms
from crypto.kms.aws_session import AwsSessions
from crypto.kms.aws_uri import AwsOptions, parse_aws_uri
from tests.aws.delivered import EXTERNAL_ID, Customer, Delivered, environment
from tests.aws.keys import Key
from tests.aws.server import FakeAws


class Bench:
    """The delivered world, and providers as a key-broker would make them."""

    def __init__(self, aws: FakeAws, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.aws = aws
        self.world = Delivered(aws)
        self._patch, self._folder = patch, folder
        self.now = 0.0
        self.sessions = AwsSessions(lambda: aws.session_clock() + self.now)
        self.be("key-broker")
        self.options = AwsOptions(
            endpoint=aws.url,
            sts_endpoint=aws.url,
            role=self.world.roles["key-broker-tenant"].arn,
            rewrap_role=self.world.roles["rewrap-tenant"].arn,
            external_id=EXTERNAL_ID,
            connect_timeout_s=2.0,
            read_timeout_s=5.0,
        )

    def be(self, role: str) -> None:
        """Be a process on a host of this role."""
        for name, value in environment(self.world.host(role), self._folder).items():
            self._patch.setenv(name, value)
        self.sessions.close()

    def kms(self, key: Key | str, tenant: bytes, **changes: Any) -> AwsKms:
        arn = key if isinstance(key, str) else key.arn
        target = parse_aws_uri(f"aws-kms://{arn}", replace(self.options, **changes))
        return AwsKms(target, tenant, self.sessions)

    def of(self, customer: Customer, **changes: Any) -> AwsKms:
        """The provider of a customer's own CMK on that customer's behalf."""
        return self.kms(customer.key, customer.tenant, **changes)


def everything() -> Any:
    from tests.aws.policy import Policy

    return Policy.identity(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
    )


def owned(a: Customer) -> Any:
    from tests.aws.policy import Policy

    return Policy.resource(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}],
        }
    )
