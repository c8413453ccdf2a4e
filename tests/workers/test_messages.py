"""What counts as a message, without a broker."""

import base64
import copy
import json
from typing import Any

import pytest

from workers.messages import MAX_ARGUMENTS, Malformed, check_frame, clean_headers

BODY = [["ticket"], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
FRAME: dict[str, Any] = {
    "body": base64.b64encode(json.dumps(BODY).encode()).decode(),
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {
        "task": "backup.plan",
        "id": "1-2",
        "lang": "py",
        "origin": "gen1@host",
        "argsrepr": "('ticket',)",
    },
    "properties": {
        "body_encoding": "base64",
        "delivery_tag": "t-1",
        "delivery_info": {"exchange": "", "routing_key": "backup"},
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    frame = copy.deepcopy(FRAME)
    target = frame
    *parents, last = path.split(".")
    for name in parents:
        target = target[name]
    target[last] = value
    return frame


def test_a_message_of_ours_passes_and_is_stripped() -> None:
    check_frame(FRAME, "backup")
    headers = clean_headers(FRAME["headers"], json.dumps(BODY))
    assert headers["task"] == "backup.plan"
    assert headers["argsrepr"] == headers["origin"] == "sealed"
    assert headers["ignore_result"] is True
    assert headers["timelimit"] == [None, None]


@pytest.mark.parametrize(
    "frame",
    [
        None,
        [],
        "text",
        {},
        changed("body", None),
        changed("body", "not base64!"),
        changed("body", "A" * (2 << 20)),
        changed("content-type", "application/x-python-serialize"),
        changed("content-encoding", "binary"),
        changed("headers", None),
        changed("headers", []),
        changed("headers.task", ["x"]),
        changed("headers.task", "../../x y"),
        changed("headers.id", 7),
        changed("headers.id", "x" * 200),
        changed("headers.eta", "2030-01-01T00:00:00"),
        changed("headers.group", "g"),
        changed("headers.chord", "c"),
        changed("headers.shadow", "friendly.name"),
        changed("headers.timelimit", [0.001, 0.001]),
        changed("headers.expires", 5),
        changed("headers.compression", "application/x-gzip"),
        changed("properties", None),
        changed("properties.delivery_tag", None),
        changed("properties.delivery_tag", {"a": 1}),
        changed("properties.body_encoding", "rot13"),
        changed("properties.delivery_info", None),
        changed("properties.delivery_info.exchange", "celeryev"),
        changed("properties.delivery_info.routing_key", "keys"),
    ],
)
def test_a_frame_that_is_not_a_message_is_refused(frame: object) -> None:
    with pytest.raises(Malformed):
        check_frame(frame, "backup")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "nonsense",
        "{}",
        "[]",
        "[[], {}]",
        "[[], {}, {}, {}]",
        '["args", {}, {}]',
        "[[null], {}, {}]",
        "[[[1]], {}, {}]",
        '[[{"a": 1}], {}, {}]',
        '[[], {"name": 1}, {}]',
        json.dumps([[1] * (MAX_ARGUMENTS + 1), {}, {}]),
        '[[], {}, {"callbacks": [{"task": "x"}]}]',
        '[[], {}, {"errbacks": [{"task": "x"}]}]',
        '[[], {}, {"chain": [{"task": "x"}]}]',
        '[[], {}, {"chord": {"task": "x"}}]',
        "[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_not_a_plain_call_is_refused(body: str | bytes) -> None:
    with pytest.raises(Malformed):
        clean_headers(FRAME["headers"], body)


def test_a_refusal_does_not_repeat_what_it_refuses() -> None:
    with pytest.raises(Malformed) as refusal:
        clean_headers(FRAME["headers"], '["my secret", {}, {}]')
    assert "secret" not in str(refusal.value)
