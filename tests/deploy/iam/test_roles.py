"""Each role's own policy: what it must never do is denied whatever is attached; what it does is tried elsewhere."""

import pytest

from deploy.iam import roles
from deploy.iam.statement import Statement

ALL = {
    "backup": roles.BACKUP,
    "restore": roles.RESTORE,
    "maintenance": roles.MAINTENANCE,
    "client": roles.CLIENT,
}


def denied(rows: tuple[Statement, ...]) -> set[str]:
    """Actions that are denied everywhere and always."""
    return {
        action
        for row in rows
        if row.effect == "Deny" and not row.conditions and not row.but and row.resources == ("*",)
        for action in row.actions
    }


@pytest.mark.parametrize("name", ALL)
def test_no_role_reaches_a_kms_itself_or_becomes_another_role_or_changes_a_bucket(name: str) -> None:
    assert roles.NO_KMS in ALL[name]
    assert {"iam:*", "sts:AssumeRole", "sts:TagSession", *roles.BUCKET_SETTINGS} <= denied(ALL[name])


@pytest.mark.parametrize("name", ["backup", "restore"])
def test_those_who_read_and_write_data_never_remove_it(name: str) -> None:
    assert {"s3:DeleteObject", "s3:DeleteObjectVersion"} <= denied(ALL[name])


def test_maintenance_removes_no_version_and_neither_keys_nor_configuration() -> None:
    assert "s3:DeleteObjectVersion" in denied(roles.MAINTENANCE)
    (rest,) = (row for row in roles.MAINTENANCE if row.sid == "RemoveNothingElse")
    assert (rest.but, rest.resources) == ("resources", roles.GARBAGE)
    assert not any("/keys" in each or "config" in each for each in roles.GARBAGE)


def test_what_maintenance_writes_it_may_remove() -> None:
    assert set(roles.PRUNED) < set(roles.GARBAGE)


@pytest.mark.parametrize("name", ALL)
def test_a_bucket_key_is_used_where_there_is_one_and_through_s3_alone(name: str) -> None:
    uses = [row for row in ALL[name] if row.effect == "Allow" and any("kms:" in each for each in row.actions)]
    assert uses == [roles.BUCKET_KEY]
    assert roles.BUCKET_KEY.needs == "bucket_key_arns"
