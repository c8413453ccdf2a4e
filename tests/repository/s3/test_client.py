"""When the library is loaded and a client made, whose credentials it has, and that it is one of S3 alone."""

import ast
import os
import secrets
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.settings import StoreSettings
from repository.errors import StoreDenied
from repository.place import S3Place, parse_place
from repository.s3.client import client_of, forget_clients, moment
from repository.stores import open_writer
from tests.s3_server import DELIVERIES, S3Server

ROOT = Path(__file__).parents[3]
SETTINGS = StoreSettings(deadline_s=5.0)


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_role_without_s3_does_not_load_its_library(tmp_path: Path):
    code = """
import sys
import client.main, client.delivery, client.vaults
import workers.backup.tasks, workers.restore.tasks, workers.maintenance.tasks
from repository.stores import open_writer
open_writer(sys.argv[1], create=True).put("a", [b"x"])
print([name for name in sys.modules if name.startswith(("boto", "repository.s3", "urllib3"))])
"""
    assert run(code, (tmp_path / "store").as_uri()) == "[]"


def test_opening_a_store_makes_no_client(s3: S3Server):
    code = """
import socket, sys
socket.create_connection = socket.socket.connect = None
from repository.stores import open_reader, open_writer, open_pruner
from repository.s3 import client
for opener in (open_reader, open_writer, open_pruner):
    opener(sys.argv[1])
print(client._client.cache_info().misses)
"""
    assert run(code, s3.uri("x")) == "0"


def test_a_process_forked_later_has_a_client_of_its_own(s3: S3Server):
    uri = s3.uri(f"forks/{secrets.token_hex(8)}")
    place = parse_place(uri)
    assert isinstance(place, S3Place)
    store = open_writer(uri)
    store.put("config", [b"parent"])
    ours = client_of(place, SETTINGS)
    assert client_of(place, SETTINGS) is ours
    child = os.fork()
    if not child:
        try:
            assert client_of(place, SETTINGS) is not ours
            store.put("jobs/child", [b"child"])
            assert store.get("config", 10) == b"parent"
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.get("jobs/child", 10) == b"child"


def test_a_store_starts_no_thread_that_stays(s3: S3Server):
    before = threading.active_count()
    store = open_writer(s3.uri(f"threads/{secrets.token_hex(8)}"))
    store.put("packs/aa/bb", [bytes(17 << 20)])
    store.read_into("packs/aa/bb", 0, memoryview(bytearray(17 << 20)))
    assert threading.active_count() == before


def test_credentials_for_the_store_alone(s3: S3Server, monkeypatch: pytest.MonkeyPatch):
    uri = s3.uri(f"env/{secrets.token_hex(8)}").replace("&profile=admin", "")
    with pytest.raises(StoreDenied, match="credentials") as caught:
        open_writer(uri, SETTINGS).put("config", [b"x"])
    assert "profile=NAME" in caught.value.remedy
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKNOBODY")  # somebody's for a KMS
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("STRONGROOM_S3_ACCESS_KEY_ID", "AKADMIN")
    monkeypatch.setenv("STRONGROOM_S3_SECRET_ACCESS_KEY", "secret-of-admin")
    open_writer(uri, SETTINGS).put("config", [b"x"])
    forget_clients()


def test_credentials_put_in_place_later_are_taken_up(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(own))
    own.write_text("[late]\naws_access_key_id = AKADMIN\naws_secret_access_key = not yet\n")
    store = open_writer(s3.uri(f"late/{secrets.token_hex(8)}", profile="late"), SETTINGS)
    with pytest.raises(StoreDenied, match="SignatureDoesNotMatch"):
        store.put("config", [b"x"])
    own.write_text("[late]\naws_access_key_id = AKADMIN\naws_secret_access_key = secret-of-admin\n")
    store.put("config", [b"x"])
    forget_clients()


def test_rights_on_one_bucket_are_enough_for_deliveries(s3: S3Server):
    prefix = secrets.token_hex(8)
    store = open_writer(s3.uri(prefix, DELIVERIES, profile="deliveries"), SETTINGS)
    store.put("aa/0-0", [b"x"])
    assert list(store.list("aa/")) == ["aa/0-0"]
    with pytest.raises(StoreDenied):
        open_writer(s3.uri(prefix, profile="deliveries"), SETTINGS).put("aa/0-0", [b"x"])


def test_only_clients_of_s3_are_made():
    """Guarantee 2: boto3 reaches every service of AWS; here it is asked for one."""
    asked = []
    for path in sorted((ROOT / "repository").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in {"client", "resource", "create_client"}:
                first = node.args[0]  # type: ignore[attr-defined]
                asked.append((path.name, first.value if isinstance(first, ast.Constant) else "?"))
    assert asked == [("client.py", "s3")]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T11:51:42.000Z",
        "2026-11-24T11:51:42Z",
        "Tue, 24 Nov 2026 11:51:42 GMT",
        "2026-11-24T12:51:42+01:00",
    ],
)
def test_times_are_read_in_every_form_that_servers_write(text: str):
    assert moment(text).timestamp() == datetime(2026, 11, 24, 11, 51, 42, tzinfo=UTC).timestamp()
