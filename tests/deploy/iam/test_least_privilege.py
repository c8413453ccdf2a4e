"""Each role may do what it needs and nothing else, as the evaluator of tests/aws reads the delivered policies."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.deploy.iam.attempts import (
    ATTEMPTS,
    DELEGATED,
    KEY_A,
    NAMES,
    OLD_A,
    OPEN,
    ROLES,
    Attempt,
    Setting,
    World,
    delivered,
)

READS = {
    "list the repository",
    "read the configuration",
    "read a wrapped key",
    "read a pack",
    "open the bucket's own key through S3",
    "make the bucket's own key through S3",
}
WRITES = {
    "write a new pack",
    "write a locked pack",
    "write a part of a pack",
    "lock a pack",
    "see the bucket's lock",
    "give up an upload",
}
MAY: dict[str, set[str]] = {
    "key-broker": {"begin a session of key-broker-tenant", "tag a session of key-broker-tenant"},
    "key-broker-tenant": {"make a data key", "unwrap a data key", "see the CMK"},
    "rewrap": {"begin a session of rewrap-tenant", "tag a session of rewrap-tenant"},
    "rewrap-tenant": {
        "re-encrypt from the old CMK",
        "re-encrypt to the new CMK",
        "re-encrypt from the new CMK",
        "see the CMK",
    },
    "backup": READS
    | WRITES
    | {
        "write a new plan",
        "read a source",
        "list a source",
        "read a source's tags",
        "read the tags of a source's version",
    },
    "restore": READS | {"deliver a parcel", "give up a delivery"},
    "maintenance": READS
    | (WRITES - {"see the bucket's lock"})
    | {
        "see a pack's lock",
        "list the repository's versions",
        "see unfinished uploads",
        "remove a pack",
        "remove a plan",
    },
    "scheduler": set(),
    "client": {
        "read the configuration",
        "list the delivery area",
        "take a parcel",
        "remove a parcel",
        "open the bucket's own key through S3",
        "make the bucket's own key through S3",
        "see what is in a target",
        "read from a target",
        "restore an object",
        "restore its tags",
        "see the parts of an upload",
        "give up restoring it",
    },
}
"""Everything that is tried and is not here must be denied."""

FORBIDDEN_WHATEVER_IS_ATTACHED: dict[str, set[str]] = {
    "key-broker": {"unwrap a data key", "read a pack", "write a new pack", "create a user"},
    "key-broker-tenant": {each.name for each in ATTEMPTS}
    - {"make a data key", "unwrap a data key", "see the CMK"}
    # Allowed by the attached policy as far as the role goes; the customer's key policy stops it (below).
    - {
        "unwrap a data key",
        "make a data key for another tenant",
        "unwrap another tenant's data key",
        "use another tenant's CMK",
        "use another tenant's CMK in one's own name",
        "unwrap without a vault",
        "unwrap without any context",
        "unwrap what is another service's",
        "unwrap with more context",
        "unwrap around the endpoint",
        "see the CMK around the endpoint",
        "unwrap under a CMK that is none of ours",
        "open the bucket's own key through S3",
        "make the bucket's own key through S3",
        "open the bucket's own key directly",
    },
    "backup": {
        "make a data key",
        "unwrap a data key",
        "see the CMK",
        "unwrap under a CMK that is none of ours",
        "open the bucket's own key directly",
        "remove a pack",
        "remove a version for good",
        "remove a parcel",
        "break a lock",
        "change the bucket policy",
        "let everything expire",
        "stop versions",
        "write beside the repository",
        "write into a strange bucket",
        "write a source",
        "remove from a source",
        "restore an object",
        "deliver a parcel",
        "begin a session of key-broker-tenant",
        "create a user",
    },
    "restore": {
        "make a data key",
        "unwrap a data key",
        "write a new pack",
        "write over a snapshot",
        "write into a strange bucket",
        "lock a pack",
        "remove a pack",
        "remove a parcel",
        "change the bucket policy",
        "begin a session of key-broker-tenant",
    },
    "maintenance": {
        "make a data key",
        "unwrap a data key",
        "write a new plan",
        "remove a wrapped key",
        "remove the configuration",
        "remove a version for good",
        "remove a parcel",
        "break a lock",
        "begin a session of rewrap-tenant",
    },
    "scheduler": {
        "read a pack",
        "list the repository",
        "write a new pack",
        "take a parcel",
        "unwrap a data key",
        "begin a session of key-broker-tenant",
    },
    "client": {"unwrap a data key", "change the bucket policy", "begin a session of key-broker-tenant"},
}
"""Denied even when somebody attaches a policy that allows everything to the role, and every resource is open to all."""


@pytest.mark.parametrize("same_account", [False, True], ids=["accounts apart", "one account"])
@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_its_work_and_nothing_else(role: str, same_account: bool) -> None:
    world = World(delivered(), Setting(same_account=same_account))
    found = {attempt.name for attempt in ATTEMPTS if world.may(role, attempt)}
    assert found == MAY[role]


def test_every_attempt_has_a_name_of_its_own_and_is_one_that_somebody_may_or_nobody() -> None:
    names = [attempt.name for attempt in ATTEMPTS]
    assert len(set(names)) == len(names)
    assert set().union(*MAY.values()) <= set(names)
    assert set().union(*FORBIDDEN_WHATEVER_IS_ATTACHED.values()) <= set(names)


ON_RESOURCES = frozenset(
    {
        "customer-key",
        "repository-bucket",
        "delivery-bucket",
        "key-broker-tenant-trust",
        "rewrap-tenant-trust",
    }
)


@pytest.mark.parametrize("role", sorted(FORBIDDEN_WHATEVER_IS_ATTACHED))
def test_denials_hold_whatever_else_is_attached(role: str) -> None:
    world = World(delivered(), Setting(attached=True, opened=ON_RESOURCES))
    found = {attempt.name for attempt in ATTEMPTS if world.may(role, attempt)}
    assert not found & FORBIDDEN_WHATEVER_IS_ATTACHED[role]


@pytest.mark.parametrize("role", ROLES)
def test_resources_hold_alone(role: str) -> None:
    """With everything allowed to the role and nothing denied, CMK and buckets still give only what they should."""
    documents = delivered()
    for name in ROLES:
        documents[name] = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
        }
    world = World(documents, Setting())
    guarded = [
        attempt
        for attempt in ATTEMPTS
        if any(
            part in attempt.resource
            for part in (":::repo", ":::drop", f"{'1' * 8}-2222", "bbbbbbbb-", "role/")
        )
    ]
    found = {attempt.name for attempt in guarded if world.may(role, attempt)}
    assert found <= MAY[role]


LOCKS = {
    "lock a pack so that its owner cannot unlock it",
    "lock a pack for a century",
    "lock a plan",
}
ONLY_THE_RESOURCE_STOPS: dict[str, set[str]] = {
    "key-broker": {"begin a session of key-broker-tenant without the external id"},
    "rewrap": {"begin a session of rewrap-tenant without the external id"},
    "key-broker-tenant": {
        "unwrap around the endpoint",
        "see the CMK around the endpoint",
        # In one's own name: what is wrapped for the other tenant does not open with this context.
        "use another tenant's CMK in one's own name",
    },
    "rewrap-tenant": {"re-encrypt around the endpoint", "see the CMK around the endpoint"},
    "backup": {
        "write over a snapshot",
        "read a pack in clear over the network",
        "write a pack that its owner cannot unlock",
        "write a pack locked for a century",
        *LOCKS,
    },
    "restore": {"read a pack in clear over the network"},
    "maintenance": {
        "write over a snapshot",
        "read a pack in clear over the network",
        "write a pack that its owner cannot unlock",
        "write a pack locked for a century",
        *LOCKS,
    },
    "client": {"take a parcel in clear over the network"},
}


@pytest.mark.parametrize("role", ROLES)
def test_roles_hold_alone(role: str) -> None:
    """With every resource left to the service's account, the roles' own policies stop all but what is named here."""
    world = World(delivered(), Setting(opened=ON_RESOURCES, by=DELEGATED))
    found = {attempt.name for attempt in ATTEMPTS if world.may(role, attempt)}
    assert found == MAY[role] | ONLY_THE_RESOURCE_STOPS.get(role, set())


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("role", ["key-broker-tenant@b", "rewrap-tenant@b"])
def test_session_of_another_tenant_gets_nothing_of_this_customers_cmk(role: str, attached: bool) -> None:
    """Whatever context it gives, and whatever is attached to the service's role."""
    world = World(delivered(), Setting(attached=attached))
    of_a = [attempt for attempt in ATTEMPTS if attempt.resource in (KEY_A, OLD_A)]
    assert not {attempt.name for attempt in of_a if world.may(role, attempt)}


def test_owner_administers_but_neither_removes_nor_overwrites_by_mistake() -> None:
    world = World(delivered(), Setting())
    by_name = {attempt.name: attempt for attempt in ATTEMPTS}
    for name in ("disable the CMK", "delete the CMK", "change the key policy", "change the bucket policy"):
        assert world.may("customer", by_name[name])
    for name in (
        "remove a pack",
        "remove a version for good",
        "write over a snapshot",
        "write a new pack",
        "read a pack in clear over the network",
        "deliver a parcel",
    ):
        assert not world.may("customer", by_name[name])


def test_a_client_with_an_area_of_its_own_reaches_no_other() -> None:
    """A role for each client, with the rows of the table for its own prefix; the bucket leaves it to the roles."""
    documents = delivered() | {"client": delivered(replace(NAMES, delivery_prefix="d/own/"))["client"]}
    for same_account in (False, True):
        world = World(
            documents, Setting(same_account=same_account, opened=frozenset({"delivery-bucket"}), by=DELEGATED)
        )
        for action, resource, context in (
            ("s3:GetObject", "arn:aws:s3:::drop/d/{}/j/0-0", {}),
            ("s3:DeleteObject", "arn:aws:s3:::drop/d/{}/j/0-0", {}),
            ("s3:ListBucket", "arn:aws:s3:::drop", {"s3:prefix": ("d/{}/j/",)}),
        ):
            for area, may in (("own", True), ("other", False)):
                keys = {key: tuple(each.format(area) for each in values) for key, values in context.items()}
                attempt = Attempt("parcels", action, resource.format(area), keys)
                assert world.may("client", attempt) is may, attempt


SETTINGS = tuple(
    Setting(same_account, attached, opened, by)
    for same_account in (False, True)
    for attached in (False, True)
    for opened, by in ((frozenset[str](), OPEN), (ON_RESOURCES, OPEN), (ON_RESOURCES, DELEGATED))
)
OTHERS = ("customer", "key-broker-tenant@b", "rewrap-tenant@b")


def outcomes(documents: Mapping[str, dict[str, Any]], changed: str) -> Iterator[tuple[str, ...]]:
    """What everybody whom the changed document may concern may do, in every setting."""
    for setting in SETTINGS:
        if changed not in setting.opened:
            world = World(documents, setting)
            for who in (changed,) if changed in ROLES else (*ROLES, *OTHERS):
                yield tuple(attempt.name for attempt in ATTEMPTS if world.may(who, attempt))


def changes_nothing(documents: Mapping[str, dict[str, Any]], changed: str) -> bool:
    """Whether nobody notices."""
    pairs = zip(outcomes(delivered(), changed), outcomes(documents, changed), strict=True)
    return all(before == after for before, after in pairs)


STATEMENTS = [
    (name, number, statement["Sid"])
    for name, document in delivered().items()
    for number, statement in enumerate(document["Statement"])
]
CONDITIONS = [
    (name, number, operator, key)
    for name, document in delivered().items()
    for number, statement in enumerate(document["Statement"])
    for operator, tests in statement.get("Condition", {}).items()
    for key in tests
]


@pytest.mark.parametrize(("name", "number", "sid"), STATEMENTS, ids=str)
def test_no_statement_is_idle(name: str, number: int, sid: str) -> None:
    """Each one taken out changes what somebody may: it is there for a reason, and these tests would notice."""
    documents = deepcopy(delivered())
    del documents[name]["Statement"][number]
    if not documents[name]["Statement"]:
        who = {"Principal": "*"} if name in ON_RESOURCES else {"Resource": "*"}
        documents[name]["Statement"].append({"Effect": "Deny", "Action": "none:None"} | who)
    assert not changes_nothing(documents, name), f"{name}: {sid} does nothing"


@pytest.mark.parametrize(("name", "number", "operator", "key"), CONDITIONS, ids=str)
def test_no_condition_is_idle(name: str, number: int, operator: str, key: str) -> None:
    documents = deepcopy(delivered())
    conditions = documents[name]["Statement"][number]["Condition"]
    del conditions[operator][key]
    if not conditions[operator]:
        del conditions[operator]
    assert not changes_nothing(documents, name), f"{name}: {operator} {key} does nothing"
