"""The table has each document once, and each role whose trust or key policy is there."""

from deploy.iam.table import DOCUMENTS

KINDS = {"service": {"role", "trust"}, "customer": {"key", "bucket"}}


def test_each_document_is_there_once_and_where_its_kind_belongs() -> None:
    names = [each.name for each in DOCUMENTS]
    assert len(set(names)) == len(names)
    for each in DOCUMENTS:
        assert each.kind in KINDS[each.account], each.name
        assert each.what
        assert each.statements


def test_who_is_named_as_a_principal_has_a_policy_in_the_table() -> None:
    roles = {each.name for each in DOCUMENTS if each.kind == "role"}
    for document in DOCUMENTS:
        for row in document.statements:
            named = [] if isinstance(row.principals, str) else row.principals
            for principal in named:
                if "<role_prefix>" in principal:
                    assert principal.rpartition("<role_prefix>")[2] in roles, document.name


def test_a_trust_policy_is_of_a_role_in_the_table() -> None:
    roles = {each.name for each in DOCUMENTS if each.kind == "role"}
    assert {each.name.removesuffix("-trust") for each in DOCUMENTS if each.kind == "trust"} <= roles
