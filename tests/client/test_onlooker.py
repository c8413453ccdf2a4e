import base64
import json

from client.onlooker import Sighting


def frame(argument: bytes) -> str:
    body = json.dumps([[base64.urlsafe_b64encode(argument).decode().rstrip("=")], {}, {}])
    return json.dumps({"body": base64.b64encode(body.encode()).decode(), "headers": {"task": "x"}})


def test_a_name_is_found_in_whatever_it_is_wrapped():
    """The control of the demo's search: a message that leaks is seen to leak."""
    assert b"/secret/path" in Sighting("backup", frame(b"...\x93/secret/path")).opened()
    assert b"/secret/path" in Sighting("notes:1", "\x93\xc4/secret/path").opened()
    assert b"/secret/path" not in Sighting("backup", frame(b"sealed")).opened()
