"""Rows: what stands for a name is a name, and a row that needs a list needs one that there is."""

import re
from collections.abc import Iterator
from dataclasses import fields

import pytest

from deploy.iam.names import Names
from deploy.iam.statement import ANYBODY, Document, Statement, role
from deploy.iam.table import DOCUMENTS

NAMES = {field.name: getattr(Names(), field.name) for field in fields(Names)}
DERIVED = frozenset({"source_arns", "target_arns"})
"""Made of the buckets' names by the generator."""
ROWS = [(document, row) for document in DOCUMENTS for row in document.statements]


def texts(row: Statement) -> Iterator[str]:
    for part in (row.resources, row.principals, row.actions):
        yield from [part] if isinstance(part, str) else part
    for tests in row.conditions.values():
        for value in tests.values():
            yield from [value] if isinstance(value, str) else value


@pytest.mark.parametrize(("document", "row"), ROWS, ids=lambda each: getattr(each, "sid", None))
def test_a_row_is_one_that_iam_takes(document: Document, row: Statement) -> None:
    assert re.fullmatch(r"[A-Za-z0-9]+", row.sid)
    assert row.effect in ("Allow", "Deny")
    assert row.but in ("", "actions", "resources")
    assert row.effect == "Deny" or not row.but, "what is allowed is named"
    assert bool(row.principals) == (document.kind != "role")
    assert row.principals != ANYBODY or row.effect == "Deny"
    for text in texts(row):
        for name in re.findall(r"<(\w+)>", text):
            assert name in NAMES or name in DERIVED, text
    if row.needs:
        assert isinstance(NAMES[row.needs], tuple)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_a_sid_names_one_row_of_its_document(document: Document) -> None:
    sids = [row.sid for row in document.statements]
    assert len(set(sids)) == len(sids)


def test_a_role_is_of_the_service_s_account_and_prefix() -> None:
    assert role("backup") == "arn:<partition>:iam::<service_account>:role/<role_prefix>backup"
