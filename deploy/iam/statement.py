"""What the table is made of: a row is a statement of a policy, a document the rows of one policy file.

A `<name>` stands for a field of `Names`. A field that is a list stands alone as a whole value, and a statement whose
`needs` names an empty field is left out. `${...}` are IAM's own policy variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

Conditions = Mapping[str, Mapping[str, str | tuple[str, ...]]]
ANYBODY: Final = "*"
"""As principals of a policy on a resource."""


@dataclass(frozen=True)
class Statement:
    """One row.

    Attributes:
        principals: of a policy on a resource; empty in a role's own.
        but: the actions or resources that a Deny does not concern (NotAction, NotResource).
        needs: the list field without which the row is left out.
    """

    sid: str
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] | str = ("*",)
    conditions: Conditions = field(default_factory=dict)
    principals: tuple[str, ...] | str = ()
    but: str = ""
    needs: str = ""


@dataclass(frozen=True)
class Document:
    """One policy file.

    Attributes:
        name: of the file.
        what: for whom, in words.
        account: "service" or "customer": where it is put.
        kind: "role" (a role's own policy), "trust" (who may assume a role), "key" or "bucket".
    """

    name: str
    what: str
    account: str
    kind: str
    statements: tuple[Statement, ...]


def role(name: str) -> str:
    """The ARN of one of the service's roles."""
    return f"arn:<partition>:iam::<service_account>:role/<role_prefix>{name}"
