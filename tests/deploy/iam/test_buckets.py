"""What the buckets themselves say: denials for everybody, and no role more than its own policy gives it."""

import pytest

from deploy.iam import roles
from deploy.iam.buckets import DELIVERY_BUCKET, REPOSITORY_BUCKET
from deploy.iam.statement import ANYBODY, Statement, role

OWN = {
    "Backup": roles.BACKUP,
    "Restore": roles.RESTORE,
    "Maintenance": roles.MAINTENANCE,
    "Client": roles.CLIENT,
}
ROWS = (*REPOSITORY_BUCKET, *DELIVERY_BUCKET)


@pytest.mark.parametrize("row", [row for row in ROWS if row.effect == "Deny"], ids=lambda row: str(row.sid))
def test_a_denial_is_for_everybody(row: Statement) -> None:
    assert row.principals == ANYBODY


@pytest.mark.parametrize("row", [row for row in ROWS if row.effect == "Allow"], ids=lambda row: str(row.sid))
def test_a_role_is_given_what_its_own_policy_has_and_in_the_same_words(row: Statement) -> None:
    (name,) = (each for each in OWN if row.sid.startswith(each))
    assert row.principals == (role(name.lower()),)
    (own,) = (each for each in OWN[name] if each.sid == row.sid.removeprefix(name))
    assert (own.effect, own.actions, own.resources, own.conditions) == (
        row.effect,
        row.actions,
        row.resources,
        row.conditions,
    )


@pytest.mark.parametrize("name", OWN)
def test_nothing_of_a_role_s_own_policy_is_forgotten(name: str) -> None:
    """Without it, an account apart gets none."""
    given = {row.sid.removeprefix(name) for row in ROWS if row.effect == "Allow" and row.sid.startswith(name)}
    own = {
        row.sid
        for row in OWN[name]
        if row.effect == "Allow"
        and not isinstance(row.resources, str)
        and any(each.startswith((roles.REPOSITORY, roles.DELIVERY)) for each in row.resources)
    }
    assert given == own


@pytest.mark.parametrize("rows", [REPOSITORY_BUCKET, DELIVERY_BUCKET])
def test_nobody_speaks_to_a_bucket_without_tls(rows: tuple[Statement, ...]) -> None:
    first = rows[0]
    assert (first.effect, first.actions, first.principals) == ("Deny", ("s3:*",), ANYBODY)
    assert first.conditions == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(first.resources) == 2, "the bucket, and all that is in it"
