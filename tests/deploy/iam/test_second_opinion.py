"""A second opinion on the roles' own policies: moto, with real S3 calls over boto3.

moto evaluates Effect, Action and Resource of identity policies, and nothing else: statements with a Condition or
NotResource are left out here on both sides, because it would take them for something else. (It does not enforce key
policies, and its KMS lets a disabled key decrypt: there only tests/aws proves anything.)
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from tests.aws.policy import Ask, Caller, Policy, allowed
from tests.deploy.iam.attempts import NAMES, ROLES, delivered

ACCOUNT = "123456789012"
REGION = "us-east-1"
BUCKETS = (NAMES.repository_bucket, NAMES.delivery_bucket, "strange")
PACK, PLAN, WRAPPED, PARCEL = "r/packs/aa/bb", "r/jobs/aa/plan", "r/keys/dek-00000001", "d/j/0-0"
OBJECTS = [
    ("repo", PACK),
    ("repo", PLAN),
    ("repo", WRAPPED),
    ("repo", "r/config"),
    ("drop", PARCEL),
    ("strange", "x"),
]

S3 = Callable[[Any], Any]
CALLS: list[tuple[str, str, S3]] = [
    *(
        (f"s3:{action}", f"arn:aws:s3:::{bucket}/{key}", call(bucket, key))
        for bucket, key in OBJECTS
        for action, call in (
            ("GetObject", lambda b, k: lambda s3: s3.get_object(Bucket=b, Key=k)),
            ("PutObject", lambda b, k: lambda s3: s3.put_object(Bucket=b, Key=k, Body=b"x")),
            ("DeleteObject", lambda b, k: lambda s3: s3.delete_object(Bucket=b, Key=k)),
        )
    ),
    *(
        ("s3:PutBucketPolicy", f"arn:aws:s3:::{bucket}", call(bucket))
        for bucket in BUCKETS
        for call in (lambda b: lambda s3: s3.put_bucket_policy(Bucket=b, Policy="{}"),)
    ),
]


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """What moto understands of a policy."""
    kept = [each for each in document["Statement"] if "Condition" not in each and "NotResource" not in each]
    return {
        "Version": document["Version"],
        "Statement": kept or [{"Effect": "Deny", "Action": "none:None", "Resource": "*"}],
    }


@pytest.fixture
def moto() -> Iterator[Callable[[str], Any]]:
    """Gives an S3 client as a role, for which every call is authorised from then on."""
    with mock_aws():
        s3 = boto3.client("s3", region_name=REGION, **_KEYS)
        for bucket in BUCKETS:
            s3.create_bucket(Bucket=bucket)
        for bucket, key in OBJECTS:
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")

        def become(role: str) -> Any:
            iam = boto3.client("iam", region_name=REGION, **_KEYS)
            arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]["Arn"]
            iam.put_role_policy(
                RoleName=role, PolicyName="strongroom", PolicyDocument=json.dumps(plain(delivered()[role]))
            )
            given = boto3.client("sts", region_name=REGION, **_KEYS).assume_role(
                RoleArn=arn, RoleSessionName="one"
            )["Credentials"]
            return boto3.client(
                "s3",
                region_name=REGION,
                aws_access_key_id=given["AccessKeyId"],
                aws_secret_access_key=given["SecretAccessKey"],
                aws_session_token=given["SessionToken"],
            )

        yield become


_KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}],
}


def by_moto(s3: Any, call: S3) -> bool:
    try:
        with_authority(call)(s3)
    except ClientError as error:
        return str(error.response["Error"]["Code"]) != "AccessDenied"
    return True


@set_initial_no_auth_action_count(0)
def _authorised(call: S3, s3: Any) -> Any:
    return call(s3)


def with_authority(call: S3) -> S3:
    return lambda s3: _authorised(call, s3)


def by_us(role: str, action: str, resource: str) -> bool:
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    caller = Caller(ACCOUNT, arn, arn, (Policy.identity(plain(delivered()[role])),))
    return allowed(caller, Ask(action, resource, {}), None, ACCOUNT)


@pytest.mark.parametrize("role", ROLES)
def test_moto_agrees(role: str, moto: Callable[[str], Any]) -> None:
    s3 = moto(role)
    # Removing something must not decide what is found afterwards: deletes come last.
    calls = sorted(CALLS, key=lambda each: "Delete" in each[0])
    found = {(action, resource): by_moto(s3, call) for action, resource, call in calls}
    assert found == {(action, resource): by_us(role, action, resource) for action, resource, _ in CALLS}


def test_calls_tell_roles_apart() -> None:
    """Control: what is compared above is not the same for everybody."""
    rows = {role: tuple(by_us(role, action, resource) for action, resource, _ in CALLS) for role in ROLES}
    assert any(rows["backup"])
    assert not any(rows["scheduler"])
    assert len(set(rows.values())) >= 5
