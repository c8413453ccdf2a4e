"""Who uses a CMK: nobody without the tenant in session and context, on both sides; what they do is tried elsewhere."""

import pytest

from deploy.iam import kms
from deploy.iam.statement import Conditions, Statement

USES = ("kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo")
IN_THE_SERVICE = (*kms.KEY_BROKER_TENANT, *kms.REWRAP_TENANT)


def using(rows: tuple[Statement, ...]) -> list[Statement]:
    return [row for row in rows if row.effect == "Allow" and set(row.actions) & set(USES)]


@pytest.mark.parametrize("row", using(IN_THE_SERVICE), ids=lambda row: str(row.sid))
def test_in_the_service_s_account_the_context_is_that_of_the_session(row: Statement) -> None:
    assert row.conditions == kms.OWN_CONTEXT
    assert row.conditions["StringEquals"]["kms:EncryptionContext:tenant"] == "${aws:PrincipalTag/tenant}"
    assert row.resources != ("*",)


@pytest.mark.parametrize("row", using(kms.CUSTOMER_KEY), ids=lambda row: str(row.sid))
def test_in_the_customer_s_account_session_and_context_are_of_that_customer(row: Statement) -> None:
    assert row.conditions == kms.THE_TENANTS_CONTEXT
    equal = row.conditions["StringEquals"]
    assert equal["aws:PrincipalTag/tenant"] == equal["kms:EncryptionContext:tenant"] == "<tenant>"


@pytest.mark.parametrize("conditions", [kms.OWN_CONTEXT, kms.THE_TENANTS_CONTEXT])
def test_a_call_without_any_context_is_not_let_through_by_a_test_of_all_of_its_keys(
    conditions: Conditions,
) -> None:
    assert conditions["ForAllValues:StringEquals"] == {"kms:EncryptionContextKeys": kms.CONTEXT_KEYS}
    assert conditions["Null"] == {"kms:EncryptionContext:vault": "false"}


@pytest.mark.parametrize("rows", [kms.KEY_BROKER_TENANT, kms.REWRAP_TENANT])
def test_a_session_has_a_ceiling_of_just_what_it_is_allowed(rows: tuple[Statement, ...]) -> None:
    (ceiling,) = (row for row in rows if row.effect == "Deny" and row.but == "actions")
    allowed = {action for row in rows if row.effect == "Allow" for action in row.actions}
    assert set(ceiling.actions) == allowed


def test_a_process_of_the_key_broker_itself_never_uses_a_key() -> None:
    for rows in (kms.KEY_BROKER, kms.REWRAP):
        assert any(row.effect == "Deny" and "kms:*" in row.actions for row in rows)
        assert using(rows) == []
