"""The fake is never kinder than AWS: what it refuses, and that it does what it should otherwise."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.aws.keys import MAX_ON_DEMAND_ROTATIONS, Key
from tests.aws.server import CUT, DROP, HOLD, THROTTLE, FakeAws, Fault

HOME, AWAY = "111122223333", "444455556666"
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
CONTEXT = {"tenant": "a", "epoch": "1"}


@pytest.fixture
def key(aws: FakeAws) -> Key:
    return aws.keys.create(HOME)


@pytest.fixture
def admin(aws: FakeAws, boto: Any) -> Any:
    return boto(aws, aws.iam.user(HOME, "admin", ALL))


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as error:
        call()
    return str(error.value.response["Error"]["Code"])


def make(client: Any, key: Key, **more: Any) -> Any:
    return client.generate_data_key(KeyId=key.arn, NumberOfBytes=32, EncryptionContext=CONTEXT, **more)


def unwrap(client: Any, blob: bytes, key: Key | None, **more: Any) -> Any:
    named = {} if key is None else {"KeyId": key.arn}
    return client.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT, **named, **more)


def move(client: Any, blob: bytes, old: Key, new: Key, **more: Any) -> Any:
    return client.re_encrypt(
        CiphertextBlob=blob,
        SourceKeyId=old.arn,
        SourceEncryptionContext=CONTEXT,
        DestinationKeyId=new.arn,
        DestinationEncryptionContext=CONTEXT | {"epoch": "2"},
        **more,
    )


def test_what_is_wrapped_opens(admin: Any, aws: FakeAws, key: Key) -> None:
    made = make(admin, key)
    for named in (key, None):
        opened = unwrap(admin, made["CiphertextBlob"], named)
        assert (opened["Plaintext"], opened["KeyId"]) == (made["Plaintext"], key.arn)
        assert opened["KeyMaterialId"] == made["KeyMaterialId"]
    new = aws.keys.create(HOME)
    moved = move(admin, made["CiphertextBlob"], key, new)
    assert (moved["SourceKeyId"], moved["KeyId"]) == (key.arn, new.arn)
    opened = admin.decrypt(
        CiphertextBlob=moved["CiphertextBlob"], EncryptionContext=CONTEXT | {"epoch": "2"}, KeyId=new.arn
    )
    assert opened["Plaintext"] == made["Plaintext"]


STATES = {
    "Disabled": "DisabledException",
    "PendingDeletion": "KMSInvalidStateException",
    "PendingReplicaDeletion": "KMSInvalidStateException",
    "PendingImport": "KMSInvalidStateException",
    "Unavailable": "KMSInvalidStateException",
    "Creating": "KMSInvalidStateException",
}


@pytest.mark.parametrize("state", STATES)
def test_key_that_is_off_does_nothing_but_be_described(
    admin: Any, aws: FakeAws, key: Key, state: str
) -> None:
    """What moto gets wrong: there a disabled key decrypts."""
    blob, other = make(admin, key)["CiphertextBlob"], aws.keys.create(HOME)
    foreign = make(admin, other)["CiphertextBlob"]
    key.change(state=state)
    for call in (
        lambda: make(admin, key),
        lambda: make(admin, key, DryRun=True),
        lambda: unwrap(admin, blob, key),
        lambda: unwrap(admin, blob, None),
        lambda: unwrap(admin, foreign, key),
        lambda: move(admin, blob, key, other),
        lambda: move(admin, foreign, other, key),
        lambda: admin.encrypt(KeyId=key.arn, Plaintext=b"x"),
        lambda: admin.generate_data_key_without_plaintext(KeyId=key.arn, NumberOfBytes=32),
    ):
        assert refused(call) == STATES[state]
    assert admin.describe_key(KeyId=key.arn)["KeyMetadata"]["KeyState"] == state


def test_updating_key_can_be_used(admin: Any, key: Key) -> None:
    key.change(state="Updating")
    make(admin, key)


def test_dry_run_makes_nothing(admin: Any, key: Key) -> None:
    """What moto gets wrong: there a dry run returns the plaintext."""
    blob = make(admin, key)["CiphertextBlob"]
    assert refused(lambda: make(admin, key, DryRun=True)) == "DryRunOperationException"
    assert refused(lambda: unwrap(admin, blob, key, DryRun=True)) == "DryRunOperationException"


def test_wrong_key_is_told_apart_from_a_bad_blob(admin: Any, aws: FakeAws, key: Key) -> None:
    blob, other = make(admin, key)["CiphertextBlob"], aws.keys.create(HOME)
    assert refused(lambda: unwrap(admin, blob, other)) == "IncorrectKeyException"
    assert refused(lambda: unwrap(admin, b"x" * 200, key)) == "InvalidCiphertextException"
    assert refused(lambda: move(admin, blob, other, key)) == "IncorrectKeyException"


def test_every_altered_byte_is_refused(admin: Any, key: Key) -> None:
    blob = make(admin, key)["CiphertextBlob"]
    for place in range(0, len(blob), 3):
        altered = blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]
        assert refused(lambda altered=altered: unwrap(admin, altered, key)) == "InvalidCiphertextException"  # type: ignore[misc]
    assert refused(lambda: unwrap(admin, blob[:-1], key)) == "InvalidCiphertextException"


@pytest.mark.parametrize(
    "context",
    [{}, {"tenant": "a"}, {"tenant": "A", "epoch": "1"}, CONTEXT | {"x": "y"}, {"Tenant": "a", "epoch": "1"}],
)
def test_wrong_context_is_refused(admin: Any, key: Key, context: dict[str, str]) -> None:
    blob = make(admin, key)["CiphertextBlob"]
    assert (
        refused(lambda: admin.decrypt(CiphertextBlob=blob, KeyId=key.arn, EncryptionContext=context))
        == "InvalidCiphertextException"
    )


def test_names_of_keys(admin: Any, aws: FakeAws, boto: Any, key: Key) -> None:
    assert admin.describe_key(KeyId=key.arn.rpartition("/")[2])["KeyMetadata"]["Arn"] == key.arn
    for name in ("alias/x", key.arn[:-4] + "zzzz", key.arn.replace("eu-central-1", "eu-west-1"), "x"):
        assert refused(lambda name=name: admin.describe_key(KeyId=name)) == "NotFoundException"  # type: ignore[misc]
    elsewhere = boto(aws, aws.iam.user(HOME, "b", ALL), region="eu-west-1")
    assert refused(lambda: elsewhere.describe_key(KeyId=key.arn)) == "NotFoundException"


def test_deletion_takes_its_time_and_is_final(admin: Any, aws: FakeAws, key: Key) -> None:
    blob = make(admin, key)["CiphertextBlob"]
    assert (
        refused(lambda: admin.schedule_key_deletion(KeyId=key.arn, PendingWindowInDays=6))
        == "ValidationException"
    )
    admin.schedule_key_deletion(KeyId=key.arn, PendingWindowInDays=7)
    assert "DeletionDate" in admin.describe_key(KeyId=key.arn)["KeyMetadata"]
    assert refused(lambda: admin.enable_key(KeyId=key.arn)) == "KMSInvalidStateException"
    admin.cancel_key_deletion(KeyId=key.arn)
    assert refused(lambda: unwrap(admin, blob, key)) == "DisabledException"
    admin.enable_key(KeyId=key.arn)
    unwrap(admin, blob, key)
    admin.schedule_key_deletion(KeyId=key.arn, PendingWindowInDays=7)
    aws.clock.pass_days(6.9)
    assert refused(lambda: unwrap(admin, blob, key)) == "KMSInvalidStateException"
    aws.clock.pass_days(0.2)
    assert refused(lambda: unwrap(admin, blob, key)) == "NotFoundException"
    assert refused(lambda: admin.cancel_key_deletion(KeyId=key.arn)) == "NotFoundException"


def test_rotation_changes_the_material_and_old_wraps_open(admin: Any, aws: FakeAws, key: Key) -> None:
    first = make(admin, key)
    admin.rotate_key_on_demand(KeyId=key.arn)
    second = make(admin, key)
    admin.enable_key_rotation(KeyId=key.arn, RotationPeriodInDays=90)
    aws.clock.pass_days(200)
    third = make(admin, key)
    ids = [made["KeyMaterialId"] for made in (first, second, third)]
    assert len(set(ids)) == 3
    for made in (first, second, third):
        assert unwrap(admin, made["CiphertextBlob"], key)["KeyMaterialId"] == made["KeyMaterialId"]
    kinds = [each["RotationType"] for each in admin.list_key_rotations(KeyId=key.arn)["Rotations"]]
    assert kinds == ["ON_DEMAND", "AUTOMATIC", "AUTOMATIC"]
    assert admin.describe_key(KeyId=key.arn)["KeyMetadata"]["CurrentKeyMaterialId"] == ids[2]


def test_rotations_on_demand_are_limited(admin: Any, key: Key) -> None:
    for _ in range(MAX_ON_DEMAND_ROTATIONS):
        admin.rotate_key_on_demand(KeyId=key.arn)
    assert refused(lambda: admin.rotate_key_on_demand(KeyId=key.arn)) == "LimitExceededException"


def test_replicas_share_material_but_not_state(admin: Any, aws: FakeAws, boto: Any, key: Key) -> None:
    primary = aws.keys.create(HOME, multi_region=True)
    replica = aws.keys.replicate(primary, "eu-west-1")
    there = boto(aws, aws.iam.user(HOME, "b", ALL), region="eu-west-1")
    made = make(admin, primary)
    opened = unwrap(there, made["CiphertextBlob"], replica)
    assert (opened["Plaintext"], opened["KeyId"]) == (made["Plaintext"], replica.arn)
    primary.change(state="Disabled")
    unwrap(there, made["CiphertextBlob"], replica)
    replica.change(state="Disabled")
    assert refused(lambda: unwrap(there, made["CiphertextBlob"], replica)) == "DisabledException"
    with pytest.raises(ValueError, match="multi-Region"):
        aws.keys.replicate(key, "eu-west-1")


def test_change_spreads_in_time(admin: Any, aws: FakeAws, key: Key) -> None:
    """Until then one node knows it and another does not: both answers are seen."""
    aws.keys.lag_s = 300
    admin.disable_key(KeyId=key.arn)

    def works() -> bool:
        try:
            make(admin, key)
        except ClientError:
            return False
        return True

    assert {works() for _ in range(6)} == {True, False}
    aws.clock.ahead = 301
    assert {works() for _ in range(6)} == {False}


def on_context(account: str = HOME) -> dict[str, Any]:
    """A key policy: the whole account, but only for tenant a and no context keys but two."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                "Action": "kms:GenerateDataKey",
                "Resource": "*",
                "Condition": {
                    "StringEquals": {"kms:EncryptionContext:tenant": "a"},
                    "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["tenant", "epoch"]},
                },
            }
        ],
    }


@pytest.mark.parametrize(
    ("context", "works"),
    [
        ({"tenant": "a"}, True),
        ({"tenant": "a", "epoch": "1"}, True),
        ({"tenant": "b"}, False),
        ({}, False),
        ({"tenant": "a", "other": "1"}, False),
    ],
)
def test_conditions_on_the_context(aws: FakeAws, boto: Any, context: dict[str, str], works: bool) -> None:
    key = aws.keys.create(AWAY, policy=on_context())
    client = boto(aws, aws.iam.user(HOME, "u", ALL))

    def call() -> Any:
        return client.generate_data_key(KeyId=key.arn, NumberOfBytes=32, EncryptionContext=context)

    if works:
        call()
    else:
        assert refused(call) == "AccessDeniedException"


def test_account_without_permission_gets_nothing(aws: FakeAws, boto: Any, admin: Any, key: Key) -> None:
    blob = make(admin, key)["CiphertextBlob"]
    outsider = boto(aws, aws.iam.user(AWAY, "u", ALL))
    nobody = boto(aws, aws.iam.user(HOME, "n"))
    for client in (outsider, nobody):
        assert refused(lambda client=client: make(client, key)) == "AccessDeniedException"  # type: ignore[misc]
        for named in (key, None):
            assert (
                refused(lambda client=client, named=named: unwrap(client, blob, named))  # type: ignore[misc]
                == "AccessDeniedException"
            )
        assert refused(lambda client=client: client.describe_key(KeyId=key.arn)) == "AccessDeniedException"  # type: ignore[misc]
        assert refused(lambda client=client: client.disable_key(KeyId=key.arn)) == "AccessDeniedException"  # type: ignore[misc]


def test_permission_is_asked_before_the_state(aws: FakeAws, boto: Any, key: Key) -> None:
    key.change(state="Disabled")
    nobody = boto(aws, aws.iam.user(HOME, "n"))
    assert refused(lambda: make(nobody, key)) == "AccessDeniedException"


def test_policy_can_be_put_and_a_bad_one_cannot(admin: Any, key: Key) -> None:
    assert (
        refused(lambda: admin.put_key_policy(KeyId=key.arn, Policy=json.dumps(ALL)))
        == "MalformedPolicyDocumentException"
    )
    admin.put_key_policy(KeyId=key.arn, Policy=json.dumps(on_context()))
    make(admin, key)
    assert refused(lambda: admin.describe_key(KeyId=key.arn)) == "AccessDeniedException"


@pytest.mark.parametrize(
    "parameters",
    [
        {"NumberOfBytes": 0},
        {"NumberOfBytes": 32, "KeySpec": "AES_256"},
        {},
        {"NumberOfBytes": 2000},
        {"NumberOfBytes": 32, "GrantTokens": ["x"]},
        {"NumberOfBytes": 32, "EncryptionContext": {"k": "v" * 9000}},
    ],
)
def test_bad_parameters_are_refused(admin: Any, key: Key, parameters: dict[str, Any]) -> None:
    admin.meta.events.unregister("before-parameter-build.kms")
    admin._serializer = getattr(
        admin._serializer, "_serializer", admin._serializer
    )  # botocore's own checks are off
    assert refused(lambda: admin.generate_data_key(KeyId=key.arn, **parameters)) == "ValidationException"


def test_what_it_does_not_know_it_refuses(admin: Any, key: Key) -> None:
    def grant() -> Any:
        return admin.create_grant(KeyId=key.arn, GranteePrincipal="x", Operations=["Decrypt"])

    for call in (admin.list_keys, grant):
        assert refused(call) == "UnknownOperationException"


def test_wrong_kind_of_key(admin: Any, key: Key) -> None:
    key.usage, key.spec = "SIGN_VERIFY", "ECC_NIST_P256"
    assert refused(lambda: make(admin, key)) == "InvalidKeyUsageException"


def test_scripted_faults(admin: Any, aws: FakeAws, key: Key) -> None:
    aws.script("GenerateDataKey", THROTTLE, Fault("KMSInternalException", 500), DROP, CUT, Fault(body=b"[]"))
    assert refused(lambda: make(admin, key)) == "ThrottlingException"
    assert refused(lambda: make(admin, key)) == "KMSInternalException"
    with pytest.raises(ConnectionClosedError):
        make(admin, key)
    # botocore takes half an answer for a whole one.
    assert "Plaintext" not in make(admin, key)
    with pytest.raises(AttributeError):
        make(admin, key)
    make(admin, key)
    aws.script("Decrypt", THROTTLE)
    make(admin, key)  # a script is for one operation


def test_held_request_is_answered_when_let_go(aws: FakeAws, key: Key) -> None:
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "kms",
        region_name="eu-central-1",
        endpoint_url=aws.url,
        config=Config(read_timeout=0.3, retries={"total_max_attempts": 1}),
        **aws.iam.user(HOME, "u", ALL).boto(),
    )
    aws.script("GenerateDataKey", HOLD)
    with pytest.raises(ReadTimeoutError):
        make(client, key)
    aws.let_go()
    make(client, key)


def test_record_holds_what_cloudtrail_does_and_nothing_secret(admin: Any, aws: FakeAws, key: Key) -> None:
    made = make(admin, key)
    unwrap(admin, made["CiphertextBlob"], key)
    (event,) = aws.of("Decrypt")
    assert event.request == {"KeyId": key.arn, "EncryptionContext": CONTEXT}
    assert event.principal == f"arn:aws:iam::{HOME}:user/admin"


TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"AWS": f"arn:aws:iam::{HOME}:user/admin"},
            "Condition": {"StringEquals": {"sts:ExternalId": "x1"}},
        },
        {
            "Effect": "Allow",
            "Action": "sts:TagSession",
            "Principal": {"AWS": f"arn:aws:iam::{HOME}:user/admin"},
            "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["tenant"]}},
        },
    ],
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, ""),
        ({"Tags": []}, ""),
        ({"ExternalId": "x2"}, "AccessDenied"),
        ({"ExternalId": None}, "AccessDenied"),
        ({"Tags": [{"Key": "admin", "Value": "1"}]}, "AccessDenied"),
        ({"RoleArn": f"arn:aws:iam::{HOME}:role/none"}, "AccessDenied"),
        ({"DurationSeconds": 3601}, "ValidationError"),
        ({"Tags": [{"Key": "tenant", "Value": "a"}, {"Key": "Tenant", "Value": "b"}]}, "ValidationError"),
    ],
)
def test_roles_are_given_by_their_trust_policy(
    aws: FakeAws, boto: Any, changes: dict[str, Any], says: str
) -> None:
    role = aws.iam.role(f"arn:aws:iam::{HOME}:role/r", TRUST)
    client = boto(aws, aws.iam.user(HOME, "admin", ALL), "sts")
    arguments = {
        "RoleArn": role.arn,
        "RoleSessionName": "one",
        "ExternalId": "x1",
        "Tags": [{"Key": "tenant", "Value": "a"}],
    } | changes
    arguments = {name: value for name, value in arguments.items() if value is not None}
    if says:
        assert refused(lambda: client.assume_role(**arguments)) == says
    else:
        assert client.assume_role(**arguments)["Credentials"]["SessionToken"]


def test_another_user_cannot_take_the_role(aws: FakeAws, boto: Any) -> None:
    role = aws.iam.role(f"arn:aws:iam::{HOME}:role/r", TRUST)
    client = boto(aws, aws.iam.user(HOME, "other", ALL), "sts")
    assert (
        refused(lambda: client.assume_role(RoleArn=role.arn, RoleSessionName="one", ExternalId="x1"))
        == "AccessDenied"
    )
