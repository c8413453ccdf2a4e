import dataclasses

import pytest

from crypto.kms.aws_uri import AwsOptions, KeyArn, parse_aws_uri
from crypto.kms.errors import UnsupportedKms

KEY = "11111111-2222-3333-4444-555555555555"
ARN = f"arn:aws:kms:eu-central-1:444455556666:key/{KEY}"
MRK = "arn:aws:kms:eu-central-1:444455556666:key/mrk-" + "a" * 32
ROLE = "arn:aws:iam::111122223333:role/strongroom-key-broker-tenant"


def test_arn_alone() -> None:
    target = parse_aws_uri(f"aws-kms://{ARN}", AwsOptions())
    assert str(target.arn) == ARN
    assert (target.arn.region, target.options) == ("eu-central-1", AwsOptions())


def test_options_win_over_settings() -> None:
    defaults = AwsOptions(endpoint="https://a.example", role=ROLE, connect_timeout_s=2.0)
    uri = (
        f"aws-kms://{ARN}?endpoint=https://vpce-1.kms.eu-central-1.vpce.amazonaws.com:443&sts-endpoint=https://s.example"
        f"&role={ROLE}2&rewrap-role={ROLE}3&external-id=a/b:c&ca=/etc/ca%20file.pem"
    )
    assert parse_aws_uri(uri, defaults).options == dataclasses.replace(
        defaults,
        endpoint="https://vpce-1.kms.eu-central-1.vpce.amazonaws.com:443",
        sts_endpoint="https://s.example",
        role=ROLE + "2",
        rewrap_role=ROLE + "3",
        external_id="a/b:c",
        ca_file="/etc/ca file.pem",
    )


def test_region_names_a_replica() -> None:
    target = parse_aws_uri(f"aws-kms://{MRK}?region=us-west-2", AwsOptions())
    assert str(target.arn) == MRK.replace("eu-central-1", "us-west-2")
    parse_aws_uri(f"aws-kms://{ARN}?region=eu-central-1", AwsOptions())
    with pytest.raises(UnsupportedKms, match="Region"):
        parse_aws_uri(f"aws-kms://{ARN}?region=us-west-2", AwsOptions())


@pytest.mark.parametrize(
    "arn",
    [
        "",
        KEY,
        ARN.replace(":key/", ":alias/"),
        "arn:aws:kms:eu-central-1:444455556666:alias/backup",
        ARN + "/",
        ARN + "0",
        ARN.upper(),
        ARN.replace("444455556666", "44445555666"),
        ARN.replace("eu-central-1", ""),
        ARN.replace(":kms:", ":s3:"),
        "arn:aws:kms:eu-central-1:444455556666:key/mrk-1",
        " " + ARN,
        ARN + "\n",
    ],
)
def test_only_a_key_by_its_arn(arn: str) -> None:
    with pytest.raises(UnsupportedKms, match="ARN"):
        parse_aws_uri(f"aws-kms://{arn}", AwsOptions())


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("endpoint", "option=value"),
        ("endpoint=", "endpoint"),
        ("endpoint=https://a&endpoint=https://b", "endpoint"),
        ("endpoint=ftp://a", "endpoint"),
        ("endpoint=https://user:pass@a", "endpoint"),
        ("endpoint=https://a/?x=1%26y=2", "endpoint"),
        ("endpoint=https://a:port", "endpoint"),
        ("endpoint=https://", "endpoint"),
        ("endpoint=http://kms.example", "https"),
        ("sts-endpoint=http://10.0.0.1", "https"),
        ("role=admin", "role"),
        ("role=arn:aws:iam::111122223333:user/x", "role"),
        ("external-id=a b", "external-id"),
        ("region=x", "region"),
        ("profile=x", "is none"),
        ("aws_secret_access_key=x", "credentials do not belong"),
        ("&".join(f"a{number}=1" for number in range(20)), "option=value"),
    ],
)
def test_bad_options_are_refused_without_repeating_them(query: str, says: str) -> None:
    with pytest.raises(UnsupportedKms) as refused:
        parse_aws_uri(f"aws-kms://{ARN}?{query}", AwsOptions())
    text = f"{refused.value.message} {refused.value.remedy}"
    assert says in text
    assert "pass@" not in text


def test_http_is_for_this_machine_alone() -> None:
    for host in ("127.0.0.1:8080", "localhost", "[::1]:1"):
        parse_aws_uri(f"aws-kms://{ARN}?endpoint=http://{host}", AwsOptions())


def test_settings_are_held_to_the_same_rules() -> None:
    with pytest.raises(UnsupportedKms):
        parse_aws_uri(f"aws-kms://{ARN}", AwsOptions(endpoint="http://kms.example"))
    with pytest.raises(UnsupportedKms):
        parse_aws_uri(f"aws-kms://{ARN}", AwsOptions(role="x"))


def test_replicas_are_one_key_and_other_keys_are_not() -> None:
    arn, mrk = KeyArn.parse(ARN), KeyArn.parse(MRK)
    assert arn.same_key(arn)
    assert not arn.same_key(KeyArn.parse(ARN.replace("eu-central-1", "eu-west-1")))
    assert mrk.same_key(KeyArn.parse(MRK.replace("eu-central-1", "eu-west-1")))
    assert not mrk.same_key(KeyArn.parse(MRK.replace("444455556666", "444455556667")))
    assert not mrk.same_key(KeyArn.parse(MRK[:-1] + "b"))


def test_overlong_uri_is_refused() -> None:
    with pytest.raises(UnsupportedKms):
        parse_aws_uri(f"aws-kms://{ARN}?ca=/{'x' * 3000}", AwsOptions())
