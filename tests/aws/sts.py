"""The fake STS: AssumeRole with session tags and an external id, by the role's trust policy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from tests.aws.iam import Iam
from tests.aws.policy import Ask, Caller, Values, allowed
from tests.aws.sigv4 import AwsRefusal

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_TAG = re.compile(r"[\w .:/=+@-]{1,256}")
_KNOWN = re.compile(
    r"Action|Version|Tags|RoleArn|RoleSessionName|DurationSeconds|ExternalId|Tags\.member\.[0-9]+\.(Key|Value)"
)


def assume_role(iam: Iam, caller: Caller, body: bytes, request_id: str) -> bytes:
    """One AssumeRole.

    Raises:
        AwsRefusal: whatever AWS would say in its place.
    """
    fields = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
    if fields.get("Action") != "AssumeRole" or fields.get("Version") != "2011-06-15":
        raise AwsRefusal("InvalidAction", "only AssumeRole is known here")
    unknown = [name for name in fields if not _KNOWN.fullmatch(name)]
    if unknown:
        raise AwsRefusal("ValidationError", f"unknown parameters {unknown}")
    arn, name, tags = fields.get("RoleArn", ""), fields.get("RoleSessionName", ""), _tags(fields)
    seconds = int(fields.get("DurationSeconds", "3600"))
    if not _SESSION_NAME.fullmatch(name) or seconds < 900:
        raise AwsRefusal("ValidationError", "RoleSessionName or DurationSeconds")
    role = iam.roles.get(arn)
    keys: dict[str, Values] = {"sts:rolesessionname": (name,), "aws:tagkeys": tuple(tags)}
    keys.update({f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()})
    if "ExternalId" in fields:
        keys["sts:externalid"] = (fields["ExternalId"],)
    # Tags need a permission of their own, and the role's trust must give it.
    for action in ("AssumeRole", *(["TagSession"] if tags else [])):
        if role is None or not allowed(
            caller, Ask(f"sts:{action}", arn, keys), role.trust, role.account, needs_both=True
        ):
            raise AwsRefusal(
                "AccessDenied",
                f"User: {caller.session_arn} is not authorized to perform: sts:{action} on resource: {arn}",
                403,
            )
    assert role is not None
    chained = caller.session_arn != caller.role_arn
    if seconds > (3600 if chained else role.max_session_s):
        raise AwsRefusal("ValidationError", "DurationSeconds exceeds the MaxSessionDuration")
    made = iam.session(role, name, seconds, tags)
    until = datetime.fromtimestamp(made.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f'<AssumeRoleResponse xmlns="{_NAMESPACE}"><AssumeRoleResult><Credentials>'
        f"<AccessKeyId>{made.key_id}</AccessKeyId><SecretAccessKey>{made.secret}</SecretAccessKey>"
        f"<SessionToken>{made.token}</SessionToken><Expiration>{until}</Expiration></Credentials>"
        f"<AssumedRoleUser><Arn>{escape(made.caller.session_arn)}</Arn></AssumedRoleUser></AssumeRoleResult>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></AssumeRoleResponse>"
    ).encode()


def refusal(error: AwsRefusal, request_id: str) -> bytes:
    """An error in the query protocol."""
    return (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{error.code}</Code>'
        f"<Message>{escape(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def _tags(fields: Mapping[str, str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for number in range(1, 52):
        key = fields.get(f"Tags.member.{number}.Key")
        if key is None:
            break
        value = fields.get(f"Tags.member.{number}.Value", "")
        if not _TAG.fullmatch(key) or key.lower() in {each.lower() for each in tags} or number > 50:
            raise AwsRefusal("ValidationError", "Tags")
        tags[key] = value
    return tags
