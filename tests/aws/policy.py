"""A small evaluator of IAM policies, as strict as AWS and stricter where AWS is unclear.

What it knows: Allow and Deny, Principal, Action and NotAction, Resource and NotResource with wildcards, conditions with
the operators in OPERATORS, IfExists, ForAllValues and ForAnyValue, and policy variables. What it does not know it
refuses when the policy is put (PolicyError), and never passes over it: a policy half understood proves nothing.
Source of the rules: IAM user guide, "Policy evaluation logic", "IAM JSON policy elements: Condition operators".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

VERSION = "2012-10-17"
_STATEMENT_KEYS = {
    "Sid",
    "Effect",
    "Principal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_SID = re.compile(r"[A-Za-z0-9]*")
_PRINCIPAL = re.compile(
    r"\*|[0-9]{12}|arn:aws:(iam::[0-9]{12}:(root|role/.+|user/.+)|sts::[0-9]{12}:assumed-role/.+/.+)"
)

Values = tuple[str, ...]
Context = Mapping[str, Values]
"""Condition keys in lower case: an absent key is not in it, a multi-valued one may have an empty tuple."""


class PolicyError(ValueError):
    """A policy that AWS, or this evaluator, would not take."""


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        account: 12 digits.
        role_arn: of the role or user itself.
        session_arn: of the session of a role; the same as role_arn for a user.
        policies: identity-based.
        tags: of the principal: session tags over role tags.
    """

    account: str
    role_arn: str
    session_arn: str
    policies: tuple[Policy, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def context(self) -> dict[str, Values]:
        """The condition keys that every request of this caller has."""
        keys: dict[str, Values] = {
            "aws:principalarn": (self.role_arn,),
            "aws:principalaccount": (self.account,),
            "aws:securetransport": ("true",),
        }
        keys.update({f"aws:principaltag/{name.lower()}": (value,) for name, value in self.tags.items()})
        return keys


@dataclass(frozen=True)
class Ask:
    """What is asked: one action on one resource."""

    action: str
    resource: str
    context: Context


@dataclass(frozen=True)
class Policy:
    """A policy that was checked when it was put."""

    statements: tuple[Mapping[str, Any], ...]

    @classmethod
    def identity(cls, document: Mapping[str, Any]) -> Policy:
        """A policy of a role or user: it has no Principal.

        Raises:
            PolicyError: AWS would not take it.
        """
        return cls(_checked(document, resource_based=False))

    @classmethod
    def resource(cls, document: Mapping[str, Any]) -> Policy:
        """A key policy, bucket policy or trust policy: every statement names principals.

        Raises:
            PolicyError: AWS would not take it.
        """
        return cls(_checked(document, resource_based=True))

    def effects(self, ask: Ask, caller: Caller | None) -> set[str]:
        """`Allow`, `Deny`, or both, of the statements that match. `caller` for resource-based policies.

        An account as principal ("...:root") delegates to the account's own policies: it counts as `Delegate`.
        """
        found = set()
        for statement in self.statements:
            if not _matches(statement, ask):
                continue
            effect = statement["Effect"]
            if caller is not None:
                principal = _principal(statement["Principal"], caller)
                if principal == "":
                    continue
                if principal == "account" and effect == "Allow":
                    effect = "Delegate"
            found.add(effect)
        return found


def allowed(
    caller: Caller, ask: Ask, resource_policy: Policy | None, owner: str, *, needs_both: bool = False
) -> bool:
    """Whether AWS would let it through.

    Args:
        caller: who asks.
        ask: what.
        resource_policy: of the key, bucket or role; None where there is none.
        owner: account of the resource.
        needs_both: the resource policy alone decides whether identity policies count at all (KMS: "no AWS principal has
            any permissions to a KMS key unless they are explicitly allowed in its key policy").
    """
    ask = Ask(ask.action, ask.resource, {**caller.context(), **ask.context})
    identity: set[str] = set()
    for policy in caller.policies:
        identity |= policy.effects(ask, None)
    resource = resource_policy.effects(ask, caller) if resource_policy else set()
    if "Deny" in identity | resource:
        return False
    if caller.account != owner:
        return "Allow" in identity and bool(resource & {"Allow", "Delegate"})
    if "Allow" in resource:
        return True
    return "Allow" in identity and (not needs_both or "Delegate" in resource)


def _checked(document: Mapping[str, Any], *, resource_based: bool) -> tuple[Mapping[str, Any], ...]:
    if set(document) - {"Version", "Id", "Statement"} or document.get("Version") != VERSION:
        raise PolicyError(f"a policy has Version {VERSION} and Statement")
    statements = document.get("Statement")
    if not isinstance(statements, list) or not statements:
        raise PolicyError("a policy has a list of statements")
    sids = [each.get("Sid") for each in statements if "Sid" in each]
    if len(sids) != len(set(sids)):
        raise PolicyError("two statements have one Sid")
    for statement in statements:
        _check_statement(statement, resource_based=resource_based)
    return tuple(statements)


def _check_statement(statement: Mapping[str, Any], *, resource_based: bool) -> None:
    if set(statement) - _STATEMENT_KEYS:
        raise PolicyError(f"unknown element {set(statement) - _STATEMENT_KEYS}")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError("Effect is Allow or Deny")
    if not _SID.fullmatch(statement.get("Sid", "")):
        raise PolicyError("a Sid has letters and digits")
    if ("Action" in statement) == ("NotAction" in statement):
        raise PolicyError("a statement has Action or NotAction")
    if resource_based != ("Principal" in statement):
        raise PolicyError("Principal belongs into resource-based policies, and into every statement there")
    if not resource_based and ("Resource" in statement) == ("NotResource" in statement):
        raise PolicyError("a statement has Resource or NotResource")
    for action in _list(statement.get("Action", statement.get("NotAction"))):
        if not re.fullmatch(r"\*|[a-z0-9-]+:[A-Za-z*?]+", action):
            raise PolicyError(f"{action!r} is no action")
    if resource_based:
        _check_principal(statement["Principal"])
    for operator, tests in statement.get("Condition", {}).items():
        _operator(operator)
        for key, values in tests.items():
            if (
                ":" not in key
                or not _list(values)
                or not all(isinstance(each, str) for each in _list(values))
            ):
                raise PolicyError(f"condition {operator} {key} is malformed")


def _check_principal(principal: Any) -> None:
    if principal == "*":
        return
    if not isinstance(principal, dict) or set(principal) - {"AWS", "Service"} or not principal:
        raise PolicyError("Principal is '*' or names AWS principals or services")
    for each in _list(principal.get("AWS", [])):
        if not _PRINCIPAL.fullmatch(each) or ("*" in each and each != "*"):
            raise PolicyError(f"{each!r} is no principal; wildcards are not allowed within an ARN")


def _principal(principal: Any, caller: Caller) -> str:
    """How a Principal element names the caller: "direct", "account" or not at all ("")."""
    named = ["*"] if principal == "*" else _list(principal.get("AWS", []))
    if {"*", caller.role_arn, caller.session_arn} & set(named):
        return "direct"
    return "account" if {caller.account, f"arn:aws:iam::{caller.account}:root"} & set(named) else ""


def _matches(statement: Mapping[str, Any], ask: Ask) -> bool:
    # Names of actions are not case sensitive; ARNs are.
    if "Action" in statement:
        if not any(_like(ask.action.lower(), each.lower()) for each in _list(statement["Action"])):
            return False
    elif any(_like(ask.action.lower(), each.lower()) for each in _list(statement["NotAction"])):
        return False
    if "NotResource" in statement:
        if any(_resource_is(ask, each) for each in _list(statement["NotResource"])):
            return False
    elif "Resource" in statement and not any(
        _resource_is(ask, each) for each in _list(statement["Resource"])
    ):
        return False
    return all(
        _condition(operator, key, _list(values), ask.context)
        for operator, tests in statement.get("Condition", {}).items()
        for key, values in tests.items()
    )


def _resource_is(ask: Ask, pattern: str) -> bool:
    filled = _filled(pattern, ask.context)
    return filled is not None and _like(ask.resource, filled)


def _condition(operator: str, key: str, values: Sequence[str], context: Context) -> bool:
    quantifier, name, if_exists = _operator(operator)
    actual = context.get(key.lower())
    if name == "Null":
        return (not actual) == (values[0] == "true")
    if if_exists and actual is None:
        return True
    filled = [each for each in (_filled(value, context) for value in values) if each is not None]
    test, negated = OPERATORS[name]

    def one(value: str) -> bool:
        # A negated operator holds when the value equals none listed; a variable without a value equals nothing.
        return any(test(value, each) for each in filled) != negated

    if quantifier == "ForAllValues":
        return all(one(value) for value in actual or ())
    if quantifier == "ForAnyValue":
        return any(one(value) for value in actual or ())
    if actual is None:
        return negated
    if len(actual) != 1:
        raise PolicyError(f"{key} has several values: use ForAllValues or ForAnyValue")
    return one(actual[0])


def _operator(text: str) -> tuple[str, str, bool]:
    quantifier, _, name = text.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if quantifier not in ("", "ForAllValues", "ForAnyValue") or name not in (*OPERATORS, "Null"):
        raise PolicyError(f"condition operator {text!r} is not known here")
    if name == "Null" and (quantifier or if_exists):
        raise PolicyError("Null stands alone")
    return quantifier, name, if_exists


def _filled(text: str, context: Context) -> str | None:
    """`text` with its variables replaced; None when one of them has no single value, so that nothing equals it.

    The value of a variable is data: a wildcard in it stands for itself.
    """
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        found = context.get(match[1].lower())
        if found is None or len(found) != 1:
            missing = True
            return ""
        return found[0].replace("*", "\0s").replace("?", "\0q")

    filled = _VARIABLE.sub(value, text)
    return None if missing else filled


def _plain(text: str) -> str:
    return text.replace("\0s", "*").replace("\0q", "?")


def _like(value: str, pattern: str) -> bool:
    return _compiled(pattern).fullmatch(value) is not None


@lru_cache(4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = (
        ".*" if part == "*" else "." if part == "?" else re.escape(_plain(part))
        for part in re.split(r"([*?])", pattern)
    )
    return re.compile("".join(parts), re.DOTALL)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


Test = Callable[[str, str], bool]
OPERATORS: Mapping[str, tuple[Test, bool]] = {
    "StringEquals": (lambda value, wanted: value == _plain(wanted), False),
    "StringNotEquals": (lambda value, wanted: value == _plain(wanted), True),
    "StringEqualsIgnoreCase": (lambda value, wanted: value.lower() == _plain(wanted).lower(), False),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_like, False),
    "ArnLike": (_like, False),
    "ArnNotEquals": (_like, True),
    "ArnNotLike": (_like, True),
    "NumericGreaterThan": (lambda value, wanted: int(value) > int(wanted), False),
    "Bool": (lambda value, wanted: value.lower() == wanted.lower(), False),
}
