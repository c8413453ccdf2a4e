"""The buckets' policies as SeaweedFS reads them: what it does not know is left out whole, never weakened."""

import json

import pytest

from deploy.iam.generate import policy
from deploy.iam.names import Names
from deploy.iam.seaweedfs import ACCOUNT, BUCKETS, COMPOSE, UNKNOWN, bucket_policy, files, role_policy, unsaid
from deploy.iam.table import DOCUMENTS


@pytest.mark.parametrize("name", BUCKETS.values())
@pytest.mark.parametrize("names", [COMPOSE, Names()], ids=["compose", "example"])
def test_a_statement_is_said_as_it_is_or_not_at_all(name: str, names: Names) -> None:
    there = policy(next(each for each in DOCUMENTS if each.name == name), names)["Statement"]
    said = {each["Sid"]: each for each in bucket_policy(name, names)["Statement"]}
    left_out = unsaid(name, names)
    assert [each["Sid"] for each in there if each["Sid"] not in left_out] == list(said)
    for row in there:
        tests = {key for each in row.get("Condition", {}).values() for key in each}
        assert bool(tests & UNKNOWN) == (row["Sid"] in left_out)
        if row["Sid"] in said:
            for part in ("Effect", "Action", "Resource"):
                assert said[row["Sid"]].get(part) == row.get(part)


@pytest.mark.parametrize("name", BUCKETS.values())
def test_a_role_is_a_user_of_that_name(name: str) -> None:
    text = json.dumps(bucket_policy(name, Names()))
    assert not any(
        word in text for word in ("PrincipalArn", "object-lock", "none-match", "CreationOperation")
    )
    assert ":role/" not in text
    assert Names().role_prefix not in text.replace(Names().repository_prefix, "")
    for row in bucket_policy(name, Names())["Statement"]:
        if isinstance(row["Principal"], dict):
            for arn in row["Principal"]["AWS"]:
                assert arn.startswith(f"arn:aws:iam::{ACCOUNT}:user/")


def test_a_statement_of_a_role_can_be_said_by_a_bucket_that_the_table_does_not_know() -> None:
    names = Names(source_buckets=("photos", "videos"))
    (row,) = role_policy("backup", "ReadSources", "photos", names)["Statement"]
    assert row["Resource"] == ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"]
    assert row["Principal"] == {"AWS": [f"arn:aws:iam::{ACCOUNT}:user/backup"]}
    assert row["Effect"] == "Allow"


def test_each_bucket_of_the_compose_file_has_its_file() -> None:
    assert set(files()) == {"repository.json", "delivery.json"}
    for content in files().values():
        assert "<" not in content
        assert json.loads(content)["Statement"]
