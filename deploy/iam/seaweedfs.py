"""The bucket policies as SeaweedFS reads them, from the same table: for the local S3 of docker-compose.yml and tests.

    python -m deploy.iam.seaweedfs      # writes deploy/compose/s3/

Its users have no policies of their own there: what a bucket does not allow them is denied. Three things that AWS is
told cannot be said to it (4.48): that an object is only ever written under a free name, because it does not know
`s3:if-none-match`; in which mode and for how long it may be locked, for the same reason; and who a role is, because it
knows users only, by `aws:username`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from deploy.iam.generate import policy
from deploy.iam.names import Names
from deploy.iam.table import DOCUMENTS

OUT: Final = Path(__file__).parents[1] / "compose" / "s3"
ACCOUNT: Final = "000000000000"
"""The account of every user there."""
BUCKETS: Final = {"repository": "repository-bucket", "delivery": "delivery-bucket"}
"""The documents of the buckets of docker-compose.yml."""
COMPOSE: Final = Names(
    repository_bucket="repository",
    # A vault is a folder of the bucket, and there are as many as somebody likes to try.
    repository_prefix="*/",
    delivery_bucket="delivery",
    delivery_prefix="parcels/",
)
UNKNOWN: Final = frozenset(
    {
        "s3:if-none-match",
        "s3:ObjectCreationOperation",
        "s3:object-lock-mode",
        "s3:object-lock-remaining-retention-days",
    }
)
"""Condition keys that it does not evaluate: a statement with one would stop everybody, or nobody."""


def bucket_policy(name: str, names: Names) -> dict[str, Any]:
    """A bucket's document of the table for SeaweedFS; users are named like the roles."""
    here = replace(names, partition="aws", service_account=ACCOUNT, role_prefix="")
    document = policy(next(each for each in DOCUMENTS if each.name == name), here)
    kept = [each for each in document["Statement"] if not _unknown(each)]
    return {"Version": document["Version"], "Statement": [_translated(each) for each in kept]}


def role_policy(role: str, sid: str, bucket: str, names: Names) -> dict[str, Any]:
    """A statement of a role's own policy, said by a bucket: for buckets that have no document in the table."""
    document = policy(next(each for each in DOCUMENTS if each.name == role), names)
    row = next(each for each in document["Statement"] if each["Sid"] == sid)
    here = [arn for arn in row["Resource"] if arn.partition(":::")[2].partition("/")[0] == bucket]
    user = f"arn:aws:iam::{ACCOUNT}:user/{role}"
    return {
        "Version": document["Version"],
        "Statement": [{**row, "Principal": {"AWS": [user]}, "Resource": here}],
    }


def unsaid(name: str, names: Names) -> list[str]:
    """Sids of the statements that cannot be said to it."""
    document = policy(next(each for each in DOCUMENTS if each.name == name), names)
    return [each["Sid"] for each in document["Statement"] if _unknown(each)]


def _unknown(statement: Mapping[str, Any]) -> bool:
    return any(key in UNKNOWN for tests in statement.get("Condition", {}).values() for key in tests)


def _translated(statement: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(statement)
    if isinstance(made["Principal"], dict):
        made["Principal"] = {"AWS": [arn.replace(":role/", ":user/") for arn in made["Principal"]["AWS"]]}
    if "Condition" in made:
        made["Condition"] = {
            operator: dict(_by_user_name(key, value) for key, value in tests.items())
            for operator, tests in made["Condition"].items()
        }
    return made


def _by_user_name(key: str, value: Any) -> tuple[str, Any]:
    if key != "aws:PrincipalArn":
        return key, value
    return "aws:username", [arn.rpartition("/")[2] for arn in value]


def files() -> dict[str, str]:
    """The generated files: name below `deploy/compose/s3`, and content."""
    return {
        f"{bucket}.json": json.dumps(bucket_policy(document, COMPOSE), indent=2) + "\n"
        for bucket, document in BUCKETS.items()
    }


def main() -> None:
    """Write the files."""
    for name, content in files().items():
        (OUT / name).write_text(content)


if __name__ == "__main__":
    main()
