"""The fake as a customer has it who put the policies of deploy/iam/ as they are: two tenants, each with an account of
its own, and the service's account between them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crypto.keyrecord import DEK, encryption_context
from deploy.iam.generate import policy
from deploy.iam.names import Names
from deploy.iam.table import DOCUMENTS
from tests.aws.iam import Credentials, Role
from tests.aws.keys import Key
from tests.aws.policy import Policy
from tests.aws.server import FakeAws

SERVICE = "111122223333"
REGION = "eu-central-1"
EXTERNAL_ID = "sr-1"
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
INSTANCE_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
    ],
}


class Customer:
    """One tenant and its account.

    Args:
        aws: the fake.
        account: of the customer.
        names: of the service, for the key policy.
        tenant: its id; a random one if not given.
    """

    def __init__(self, aws: FakeAws, account: str, names: Names, tenant: bytes | None = None) -> None:
        self.account = account
        self.tenant = tenant or os.urandom(16)
        self.vault = os.urandom(16)
        self.names = replace(names, customer_account=account, tenant=self.tenant.hex())
        self.key: Key = aws.keys.create(account, REGION, self.key_policy())
        self.admin: Credentials = aws.iam.user(account, "admin", ALL)

    def key_policy(self, **changes: Any) -> dict[str, Any]:
        """The delivered key policy for this customer."""
        return document("customer-key", replace(self.names, **changes))

    def context(self, epoch: int = 1) -> dict[str, str]:
        """The encryption context of one of the tenant's DEKs."""
        return encryption_context(self.tenant, self.vault, DEK, epoch)


class Delivered:
    """Roles and keys as delivered.

    Args:
        aws: a running fake.
        tenant: of the first customer, if it is known.
    """

    def __init__(self, aws: FakeAws, tenant: bytes | None = None) -> None:
        self.aws = aws
        names = Names(service_account=SERVICE, external_id=EXTERNAL_ID)
        self.a = Customer(aws, "444455556666", names, tenant)
        self.b = Customer(aws, "777788889999", names)
        self.old = aws.keys.create(self.a.account, REGION, self.a.key_policy())
        self.names = replace(names, cmk_arns=(self.a.key.arn, self.b.key.arn), old_cmk_arns=(self.old.arn,))
        self.roles: dict[str, Role] = {}
        for name in ("key-broker", "rewrap", "backup", "restore", "maintenance", "scheduler", "client"):
            self._add(name, INSTANCE_TRUST)
        for name in ("key-broker-tenant", "rewrap-tenant"):
            self._add(name, document(f"{name}-trust", self.names))

    def host(self, role: str) -> Credentials:
        """What an instance of a role's host profile has."""
        return self.aws.iam.session(self.roles[role], "i-0123456789", 6 * 3600)

    def settings(self) -> dict[str, Any]:
        """Section [kms] of the key-broker's settings."""
        return {
            "aws_endpoint": self.aws.url,
            "aws_sts_endpoint": self.aws.url,
            "aws_role": self.roles["key-broker-tenant"].arn,
            "aws_external_id": EXTERNAL_ID,
        }

    def open_everything(self) -> None:
        """What nobody should do: any session of the service may do anything with any key (for controls)."""
        everybody = {"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Principal": "*"}
        opened = Policy.resource({"Version": "2012-10-17", "Statement": [everybody]})
        for key in (self.a.key, self.b.key):
            key.change(policy=opened)
        self.roles["key-broker-tenant"].policies[:] = [Policy.identity(ALL)]

    def _add(self, name: str, trust: Mapping[str, Any]) -> None:
        arn = f"arn:aws:iam::{SERVICE}:role/{self.names.role_prefix}{name}"
        self.roles[name] = self.aws.iam.role(arn, trust, document(name, self.names))


def document(name: str, names: Names) -> dict[str, Any]:
    """One of the delivered policies."""
    return policy(next(each for each in DOCUMENTS if each.name == name), names)


def environment(credentials: Credentials, folder: Path) -> dict[str, str]:
    """Variables with which boto3 finds these credentials and none of this machine's own."""
    return credentials.environment() | {
        "AWS_CONFIG_FILE": str(folder / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
