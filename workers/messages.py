"""What a message must look like before Celery sees it: plain functions over plain data.

Anyone who can write to a queue can put anything there, and kombu and Celery trust its shape (notes 2.5).
Here it is checked first, in two steps: the frame as it comes off the list, then the task message inside.
"""

import base64
import binascii
from typing import Annotated, Any

import msgspec

from config.errors import StrongroomError
from workers.redact import SEALED

# A task carries ids and sealed descriptions; a listing or a parcel never travels in a task.
MAX_MESSAGE_BYTES = 1 << 20
MAX_ARGUMENTS = 16

Text = Annotated[str, msgspec.Meta(max_length=256)]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")]


class Malformed(StrongroomError):
    """A message that is refused unread; the text says what is wrong with it, never what it contains."""


class _Delivery(msgspec.Struct):
    exchange: str
    routing_key: str


class _Properties(msgspec.Struct):
    delivery_tag: Token
    delivery_info: _Delivery
    body_encoding: str = ""


class _Headers(msgspec.Struct):
    task: Token
    id: Token
    lang: Text = "py"
    eta: None = None
    group: None = None
    chord: None = None
    shadow: None = None
    expires: Text | None = None
    timelimit: tuple[None, None] = (None, None)
    root_id: Token | None = None
    parent_id: Token | None = None
    redelivered: bool = False


class _Frame(msgspec.Struct):
    body: Annotated[str, msgspec.Meta(max_length=MAX_MESSAGE_BYTES)]
    headers: _Headers
    properties: _Properties
    content_type: str = msgspec.field(name="content-type")
    content_encoding: str = msgspec.field(name="content-encoding")


def check_frame(frame: object, queue: str) -> None:
    """Check a message as it came off the list of `queue`.

    1. It is an object with typed body, headers and properties; no ETA, group, chord, alias or time limit.
    2. It is base64 of JSON in UTF-8, not compressed.
    3. It says that it was sent to this very queue: a message is put back to where it says it came from.

    Raises:
        Malformed: it is anything else.
    """
    try:
        found = msgspec.convert(frame, _Frame)  # 1
    except msgspec.ValidationError as error:
        raise Malformed(f"not a task message: {error}") from None
    if found.content_type != "application/json" or found.content_encoding != "utf-8":  # 2
        raise Malformed("the content is not JSON in UTF-8")
    if found.properties.body_encoding != "base64" or _has_compression(frame):
        raise Malformed("the body is compressed or not base64")
    try:
        base64.b64decode(found.body.encode(), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("the body is not base64") from None
    if found.properties.delivery_info.exchange or found.properties.delivery_info.routing_key != queue:  # 3
        raise Malformed("it belongs to another queue")


def clean_headers(headers: object, body: bytes | str) -> dict[str, Any]:
    """Check a task message and make the headers with which Celery goes on; what the sender added is dropped.

    1. The headers are those of `check_frame`.
    2. The body is `[arguments, {}, embedded]`: at most 16 arguments, each text or a number, none by name.
    3. Nothing is embedded: no callback, errback, chain or chord.

    Args:
        headers: of the message.
        body: JSON text, decoded from base64.

    Raises:
        Malformed: it is anything else.
    """
    try:
        found = msgspec.convert(headers, _Headers)  # 1
        arguments, named, embedded = msgspec.json.decode(
            body, type=tuple[list[str | int], dict[str, Any], dict[str, Any]]
        )  # 2
    except (msgspec.DecodeError, ValueError) as error:
        raise Malformed(f"not a task message: {_without_values(error)}") from None
    if named or len(arguments) > MAX_ARGUMENTS:
        raise Malformed("it has named arguments, or too many")
    if any(embedded.values()):  # 3
        raise Malformed("it embeds other tasks")
    return {
        "lang": "py",
        "task": found.task,
        "id": found.id,
        "root_id": found.root_id,
        "parent_id": found.parent_id,
        "expires": found.expires,
        "redelivered": found.redelivered,
        "eta": None,
        "group": None,
        "group_index": None,
        "shadow": None,
        "retries": 0,
        "timelimit": [None, None],
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
        # What events, logs and Flower show instead of the arguments.
        "argsrepr": SEALED,
        "kwargsrepr": "{}",
        "origin": SEALED,
    }


def _has_compression(frame: object) -> bool:
    return isinstance(frame, dict) and bool(frame["headers"].get("compression"))


def _without_values(error: Exception) -> str:
    return str(error) if isinstance(error, msgspec.ValidationError) else "the body is not JSON"
