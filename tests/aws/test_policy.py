"""The evaluator itself: each rule with what it lets through and what it stops."""

from typing import Any

import pytest

from tests.aws.policy import Ask, Caller, Policy, PolicyError, allowed

HOME, AWAY = "111122223333", "444455556666"
ROLE = f"arn:aws:iam::{HOME}:role/app"
SESSION = f"arn:aws:sts::{HOME}:assumed-role/app/one"
KEY = f"arn:aws:kms:eu-central-1:{AWAY}:key/k"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def row(effect: str = "Allow", **changes: Any) -> dict[str, Any]:
    made = {"Effect": effect, "Action": "kms:Decrypt", "Resource": "*"} | changes
    return {name: value for name, value in made.items() if value is not None}


def caller(*rows: dict[str, Any], tags: dict[str, str] | None = None) -> Caller:
    policies = (Policy.identity(document(*rows)),) if rows else ()
    return Caller(HOME, ROLE, SESSION, policies, tags or {})


def decrypt(**context: tuple[str, ...]) -> Ask:
    return Ask("kms:Decrypt", KEY, {name.replace("__", ":"): value for name, value in context.items()})


def by_itself(*rows: dict[str, Any], ask: Ask | None = None, tags: dict[str, str] | None = None) -> bool:
    """In the caller's own account, where an identity policy is enough."""
    return allowed(caller(*rows, tags=tags), ask or decrypt(), None, HOME)


def test_nothing_is_allowed_by_default() -> None:
    assert not by_itself()
    assert by_itself(row())


def test_deny_wins() -> None:
    assert not by_itself(row(), row("Deny"))
    assert by_itself(row(), row("Deny", Action="kms:Encrypt"))


@pytest.mark.parametrize(
    ("action", "matches"),
    [
        ("kms:Decrypt", True),
        ("KMS:decrypt".lower(), True),
        ("kms:*", True),
        ("kms:De*", True),
        ("kms:Decryp?", True),
        ("*", True),
        ("kms:Decryp", False),
        ("s3:*", False),
        ("kms:GenerateDataKey*", False),
    ],
)
def test_actions(action: str, matches: bool) -> None:
    assert by_itself(row(Action=action)) == matches
    assert by_itself(row(Action=["s3:GetObject", action])) == matches
    assert by_itself(row(Action=None, NotAction=action)) != matches


@pytest.mark.parametrize(
    ("resource", "matches"),
    [(KEY, True), ("*", True), (KEY[:-1] + "*", True), (KEY.upper(), False), (KEY + "x", False)],
)
def test_resources(resource: str, matches: bool) -> None:
    assert by_itself(row(Resource=resource)) == matches
    assert by_itself(row(Resource=None, NotResource=resource)) != matches


@pytest.mark.parametrize(
    ("operator", "wanted", "actual", "holds"),
    [
        ("StringEquals", "a", ("a",), True),
        ("StringEquals", "a", ("A",), False),
        ("StringEquals", ["b", "a"], ("a",), True),
        ("StringEquals", "a*", ("ab",), False),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", ("b",), False),
        ("StringEqualsIgnoreCase", "a", ("A",), True),
        ("StringNotEquals", "a", ("b",), True),
        ("StringNotEquals", "a", ("a",), False),
        ("StringNotEquals", ["a", "b"], ("b",), False),
        ("StringNotEquals", "a", None, True),
        ("StringLike", "a*c", ("abc",), True),
        ("StringLike", "a?c", ("abbc",), False),
        ("StringNotLike", "a*", ("b",), True),
        ("StringNotLike", "a*", None, True),
        ("StringNotLike", "a*", ("ab",), False),
        ("Bool", "true", ("true",), True),
        ("Bool", "true", ("false",), False),
        ("Bool", "true", None, False),
        ("Null", "true", None, True),
        ("Null", "true", ("a",), False),
        ("Null", "false", ("a",), True),
        ("Null", "false", None, False),
        ("Null", "true", (), True),
        ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
        ("ForAllValues:StringEquals", ["a", "b"], ("a", "c"), False),
        ("ForAllValues:StringEquals", ["a"], (), True),
        ("ForAllValues:StringEquals", ["a"], None, True),
        ("ForAnyValue:StringEquals", ["a"], ("a", "c"), True),
        ("ForAnyValue:StringEquals", ["a"], ("b",), False),
        ("ForAnyValue:StringEquals", ["a"], None, False),
    ],
)
def test_conditions(operator: str, wanted: Any, actual: tuple[str, ...] | None, holds: bool) -> None:
    ask = Ask("kms:Decrypt", KEY, {} if actual is None else {"x:k": actual})
    assert by_itself(row(Condition={operator: {"x:K": wanted}}), ask=ask) == holds


def test_every_condition_must_hold() -> None:
    ask = Ask("kms:Decrypt", KEY, {"x:a": ("1",), "x:b": ("2",)})
    assert by_itself(row(Condition={"StringEquals": {"x:a": "1", "x:b": "2"}}), ask=ask)
    assert not by_itself(row(Condition={"StringEquals": {"x:a": "1", "x:b": "3"}}), ask=ask)
    assert not by_itself(row(Condition={"StringEquals": {"x:a": "1"}, "Null": {"x:b": "true"}}), ask=ask)


def test_several_values_without_a_quantifier_are_a_mistake_of_the_policy() -> None:
    ask = Ask("kms:Decrypt", KEY, {"x:k": ("a", "b")})
    with pytest.raises(PolicyError):
        by_itself(row(Condition={"StringEquals": {"x:k": "a"}}), ask=ask)


OWN_TAG = {"StringEquals": {"kms:EncryptionContext:tenant": "${aws:PrincipalTag/tenant}"}}


@pytest.mark.parametrize(
    ("tags", "tenant", "holds"),
    [
        ({"tenant": "a"}, ("a",), True),
        ({"tenant": "a"}, ("b",), False),
        ({"Tenant": "a"}, ("a",), True),
        ({}, ("a",), False),
        ({}, ("",), False),
        ({"tenant": "*"}, ("b",), False),
        ({"tenant": "a"}, None, False),
    ],
)
def test_variables(tags: dict[str, str], tenant: tuple[str, ...] | None, holds: bool) -> None:
    context = {} if tenant is None else {"kms:encryptioncontext:tenant": tenant}
    ask = Ask("kms:Decrypt", KEY, context)
    assert by_itself(row(Condition=OWN_TAG), ask=ask, tags=tags) == holds


def test_wildcard_in_the_value_of_a_variable_is_no_wildcard() -> None:
    like = row(Condition={"StringLike": {"x:k": "${aws:PrincipalTag/tenant}"}})
    assert not by_itself(like, ask=Ask("kms:Decrypt", KEY, {"x:k": ("b",)}), tags={"tenant": "*"})
    assert by_itself(like, ask=Ask("kms:Decrypt", KEY, {"x:k": ("*",)}), tags={"tenant": "*"})


def on_key(*principals: str, effect: str = "Allow") -> Policy:
    return Policy.resource(document(row(effect, Principal={"AWS": list(principals)})))


ROOT = f"arn:aws:iam::{HOME}:root"


@pytest.mark.parametrize(
    ("principal", "identity", "same_account", "other_account"),
    [
        (ROLE, True, True, True),
        (ROLE, False, True, False),
        (SESSION, False, True, False),
        (ROOT, True, True, True),
        (ROOT, False, False, False),
        (HOME, True, True, True),
        (ROLE + "2", True, False, False),
        (f"arn:aws:iam::{AWAY}:root", True, False, False),
        ("*", False, True, False),
        ("*", True, True, True),
    ],
)
def test_key_policy_decides_and_another_account_needs_both(
    principal: str, identity: bool, same_account: bool, other_account: bool
) -> None:
    who = caller(row()) if identity else caller()
    policy = on_key(principal)
    assert allowed(who, decrypt(), policy, HOME, needs_both=True) == same_account
    assert allowed(who, decrypt(), policy, AWAY, needs_both=True) == other_account


def test_deny_in_a_key_policy_wins_over_everything() -> None:
    policy = Policy.resource(document(row(Principal="*"), row("Deny", Principal={"AWS": ROLE})))
    assert not allowed(caller(row()), decrypt(), policy, HOME, needs_both=True)


@pytest.mark.parametrize(
    "bad",
    [
        {"Statement": [row()]},
        {"Version": "2008-10-17", "Statement": [row()]},
        document(),
        document(row(Effect="allow")),
        document(row(Actions="kms:*")),
        document(row(Action="Decrypt")),
        document(row(Action="kms:Decrypt kms:Encrypt")),
        document(row(Action=None)),
        document(row(NotAction="kms:Encrypt")),
        document(row(Resource=None)),
        document(row(Principal="*")),
        document(row(Sid="a b")),
        document(row(Sid="a"), row(Sid="a")),
        document(row(Condition={"StringEqual": {"x:k": "a"}})),
        document(row(Condition={"NumericLessThan": {"x:k": "1"}})),
        document(row(Condition={"StringEquals": {"x:k": []}})),
        document(row(Condition={"StringEquals": {"k": "a"}})),
        document(row(Condition={"Null": {"x:k": True}})),
    ],
)
def test_what_is_not_understood_is_not_taken(bad: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        Policy.identity(bad)


@pytest.mark.parametrize("principal", ["arn:aws:iam::1:role/x", f"arn:aws:iam::{HOME}:role/*", "root", "me"])
def test_bad_principals_are_not_taken(principal: str) -> None:
    with pytest.raises(PolicyError):
        on_key(principal)
    with pytest.raises(PolicyError):
        Policy.resource(document(row()))
