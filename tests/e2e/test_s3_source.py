"""Objects of a bucket on a real S3 server, backed up and restored, over the whole stack."""

import io
import json
import os
import random
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.ports import reserved
from tests.s3_server import BUCKET, S3Server
from tests.whole.room import TIMEOUT_S, Strongroom, read_tree

BIG = (9 << 20) + 17
"""More than a piece, and more than a part of an upload."""


class Vault(NamedTuple):
    room: Strongroom
    s3: S3Server
    prefix: str
    content: dict[str, bytes]
    first: dict[str, Any]
    again: dict[str, Any]

    @property
    def uri(self) -> str:
        return self.s3.uri(self.prefix)

    @property
    def path(self) -> str:
        return f"/s3:/{BUCKET}/{self.prefix}"


@pytest.fixture(scope="module")
def vault(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    folder = tmp_path_factory.mktemp("objects")
    room = Strongroom(folder / "home")
    prefix = f"source/{secrets.token_hex(4)}"
    dice = random.Random(5)
    content = {f"many/{n % 7}/n-{n}.bin": dice.randbytes(dice.randrange(9000)) for n in range(150)}
    content |= {"big": dice.randbytes(BIG), "empty": b"", "a-b/ü ö.txt": b"one", "a/b": b"two"}
    client = s3.client()
    for key, body in content.items():
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=body)
    client.put_object(
        Bucket=BUCKET,
        Key=f"{prefix}/rich",
        Body=b"rich",
        ContentType="text/x-rich",
        ContentLanguage="de",
        CacheControl="no-cache",
        ContentDisposition="inline",
        Expires="Wed, 21 Oct 2026 07:28:00 GMT",
        Metadata={"who": "me"},
        Tagging="colour=red&size=large",
        StorageClass="STANDARD_IA",
    )
    content["rich"] = b"rich"
    room.run("init")
    try:
        room.run("up")
        room.run("vault", "create", "v", "--repo", str(folder / "repo"), "--kms", "local-kms://main")
        first = room.json("backup", "v", s3.uri(prefix))
        again = room.json("backup", "v", s3.uri(prefix))
        yield Vault(room, s3, prefix, content, first, again)
    finally:
        room.run("down", code=None)


def test_every_object_is_backed_up_and_an_unchanged_one_is_not_read_again(vault: Vault):
    assert vault.first["files"] == len(vault.content)
    assert vault.first["errors"] == 0
    assert vault.first["bytes"] == sum(map(len, vault.content.values()))
    assert vault.again["files"] == len(vault.content)
    assert (vault.again["bytes_read"], vault.again["segments"]) == (0, 0)


def test_a_restore_to_a_folder(vault: Vault, tmp_path: Path):
    vault.room.json("restore", "v", f"latest:{vault.path}", "--target", tmp_path / "out")
    assert read_tree(tmp_path / "out") == vault.content
    rich = tmp_path / "out/rich"
    facts = json.loads(os.getxattr(rich, "user.strongroom.s3"))
    assert facts["metadata"] == {"who": "me"}
    assert facts["tags"] == {"colour": "red", "size": "large"}
    head = vault.s3.client().head_object(Bucket=BUCKET, Key=f"{vault.prefix}/rich")
    assert rich.stat().st_mtime == head["LastModified"].timestamp()


def test_a_listing_says_what_s3_said(vault: Vault):
    lines = vault.room.json("ls", "v", f"latest:{vault.path}/rich")
    assert lines[0]["object"]["content_type"] == "text/x-rich"
    assert lines[0]["object"]["tags"] == {"colour": "red", "size": "large"}
    assert "uid" not in lines[0], "an object belongs to nobody on this machine"
    words = vault.room.run("ls", "v", f"latest:{vault.path}/rich").stdout
    assert words.split()[:3] == ["object", "STANDARD_IA", "4"]


def listed(s3: S3Server, prefix: str) -> dict[str, bytes]:
    client = s3.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
    keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    return {
        key.removeprefix(f"{prefix}/"): client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        for key in keys
    }


def test_a_restore_to_a_bucket_brings_back_everything(vault: Vault):
    target = f"target/{secrets.token_hex(4)}"
    done = vault.room.json("restore", "v", f"latest:{vault.path}", "--target", vault.s3.uri(target))
    assert (done["files"], done["failed"], done["warnings"]) == (len(vault.content), [], [])
    assert listed(vault.s3, target) == vault.content
    client = vault.s3.client()
    found = client.get_object(Bucket=BUCKET, Key=f"{target}/rich")
    once = client.get_object(Bucket=BUCKET, Key=f"{vault.prefix}/rich")
    for field in (
        "CacheControl", "ContentDisposition", "ContentLanguage", "ContentType", "ETag", "Expires", "Metadata",
        "StorageClass", "TagCount",
    ):  # fmt: skip
        assert found[field] == once[field], field
    tags = client.get_object_tagging(Bucket=BUCKET, Key=f"{target}/rich")["TagSet"]
    assert sorted((tag["Key"], tag["Value"]) for tag in tags) == [("colour", "red"), ("size", "large")]
    assert not client.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_one_object_alone_goes_under_its_name(vault: Vault):
    target = f"target/{secrets.token_hex(4)}"
    vault.room.json(
        "restore", "v", f"latest:s3://{BUCKET}/{vault.prefix}/big", "--target", vault.s3.uri(target)
    )
    assert listed(vault.s3, target) == {"big": vault.content["big"]}


def test_objects_that_are_there_are_replaced_only_when_asked(vault: Vault):
    target = f"target/{secrets.token_hex(4)}"
    client = vault.s3.client()
    client.put_object(Bucket=BUCKET, Key=f"{target}/big", Body=b"mine")
    wanted = ("restore", "v", f"latest:{vault.path}", "--include", "big", "--target", vault.s3.uri(target))
    refused = vault.room.run(*wanted, code=1)
    assert "--overwrite" in refused.stderr
    assert listed(vault.s3, target) == {"big": b"mine"}
    vault.room.json(*wanted, "--overwrite")
    assert listed(vault.s3, target) == {"big": vault.content["big"]}


def test_files_do_not_go_to_a_bucket(vault: Vault, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"x")
    vault.room.run("vault", "create", "files", "--repo", str(tmp_path / "r"), "--kms", "local-kms://main")
    vault.room.json("backup", "files", tmp_path / "file")
    target = f"target/{secrets.token_hex(4)}"
    refused = vault.room.run("restore", "files", "latest", "--target", vault.s3.uri(target), code=2)
    assert "snapshot is of files" in refused.stderr
    assert listed(vault.s3, target) == {}


def test_many_objects_are_spread_over_segments_and_come_back_in_any_order_of_keys(vault: Vault):
    prefix = f"source/{secrets.token_hex(4)}"
    dice = random.Random(11)
    folders = ("a", "a-b", "a.b", "a b", "a/b", "b")
    content = {f"{folders[n % 6]}/{n}": dice.randbytes(256 << 10) for n in range(330)}
    client = vault.s3.client()
    for key, body in content.items():
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=body)
    done = vault.room.json("backup", "v", vault.s3.uri(prefix))
    assert (done["files"], done["errors"]) == (len(content), 0)
    assert done["segments"] > 1
    target = f"target/{secrets.token_hex(4)}"
    vault.room.json("restore", "v", f"latest:s3://{BUCKET}/{prefix}", "--target", vault.s3.uri(target))
    assert listed(vault.s3, target) == content


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("s3://plain-bucket", "s3://no-such-bucket"), "NoSuchBucket"),
        (("profile=admin", "profile=deliveries"), "AccessDenied"),
        (("source/", "nowhere/"), "no object to back up"),
    ],
)
def test_what_cannot_be_read_at_all_is_told_and_leaves_no_snapshot(
    vault: Vault, change: tuple[str, str], says: str
):
    before = len(vault.room.json("snapshots", "v"))
    done = vault.room.run("backup", "v", vault.uri.replace(*change), code=1)
    assert says in done.stderr
    assert "  -> " in done.stderr
    assert len(vault.room.json("snapshots", "v")) == before


def test_files_and_objects_are_not_mixed(vault: Vault, tmp_path: Path):
    done = vault.room.run("backup", "v", vault.uri, tmp_path, code=2)
    assert "do not go into one snapshot" in done.stderr


def test_only_what_changed_is_read_and_what_cannot_be_read_is_named(vault: Vault, tmp_path: Path):
    prefix = f"source/{secrets.token_hex(4)}"
    client = vault.s3.client()

    def put(key: str, body: bytes, **options: object) -> None:
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=body, **options)

    for number in range(20):
        put(f"n/{number}", b"%d" % number * 100)
    put("goes", b"soon")
    vault.room.json("backup", "v", vault.s3.uri(prefix))
    put("n/7", b"changed")
    put("new", b"newer")
    put("keyed", b"secret", SSECustomerAlgorithm="AES256", SSECustomerKey=secrets.token_bytes(32))
    client.delete_object(Bucket=BUCKET, Key=f"{prefix}/goes")
    again = vault.room.json("backup", "v", vault.s3.uri(prefix), code=3)
    assert (again["files"], again["files_new"], again["bytes_read"]) == (21, 2, len(b"changed" + b"newer"))
    assert [each["path"] for each in again["failed"]] == [f"/s3:/{BUCKET}/{prefix}/keyed"]
    assert "SSE-C" in again["failed"][0]["error"]
    target = tmp_path / "out"
    vault.room.json("restore", "v", f"latest:/s3:/{BUCKET}/{prefix}", "--target", target)
    assert read_tree(target) == {
        **{f"n/{number}": b"%d" % number * 100 for number in range(20)},
        "n/7": b"changed",
        "new": b"newer",
    }


def test_a_huge_object_is_spread_over_segments_and_comes_back_in_parts(vault: Vault):
    prefix = f"source/{secrets.token_hex(4)}"
    client = vault.s3.client()
    block = random.Random(9).randbytes(1 << 20)
    body = b"".join(bytes([number]) + block[1:] for number in range(150))
    client.upload_fileobj(io.BytesIO(body), BUCKET, f"{prefix}/huge", ExtraArgs={"Metadata": {"is": "huge"}})
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/small", Body=b"small")
    done = vault.room.json("backup", "v", vault.s3.uri(prefix))
    assert (done["files"], done["errors"]) == (2, 0)
    assert done["segments"] > 1
    target = f"target/{secrets.token_hex(4)}"
    vault.room.json("restore", "v", f"latest:/s3:/{BUCKET}/{prefix}", "--target", vault.s3.uri(target))
    assert listed(vault.s3, target) == {"huge": body, "small": b"small"}
    assert client.head_object(Bucket=BUCKET, Key=f"{target}/huge")["Metadata"] == {"is": "huge"}
    assert not client.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_the_logs_name_no_key_and_no_bucket(vault: Vault):
    logs = "".join(path.read_text() for path in (vault.room.home / "logs").glob("*.log"))
    assert "backup.segment" in logs
    for name in (BUCKET, "s3://", "many/", "rich", "keyed", vault.prefix):
        assert name not in logs, name


def test_damaged_parcels_never_make_an_object(vault: Vault):
    """Last of all: it spoils the vault."""
    for pack in (vault.room.home.parent / "repo/packs").rglob("*"):
        if pack.stat().st_size > 8 << 20:
            spoilt = bytearray(pack.read_bytes())
            spoilt[len(spoilt) // 2] ^= 1
            pack.chmod(0o600)
            pack.write_bytes(spoilt)
    snapshots = vault.room.json("snapshots", "v")
    huge = next(each for each in reversed(snapshots) if each["bytes"] > 150 << 20)
    target = f"target/{secrets.token_hex(4)}"
    done = vault.room.json("restore", "v", huge["id"], "--target", vault.s3.uri(target), code=3)
    assert [each["path"].rpartition("/")[2] for each in done["failed"]] == ["huge"]
    assert [key.rpartition("/")[2] for key in listed(vault.s3, target)] == ["small"]
    assert not vault.s3.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_a_bucket_that_does_not_answer_is_told_while_it_is_tried(vault: Vault):
    with reserved(1) as (port,):
        running = vault.room.start("backup", "v", vault.s3.uri("x", endpoint=f"http://127.0.0.1:{port}"))
        assert running.stderr is not None
        for line in running.stderr:
            if "trying again until" in line:
                break
        assert "the store does not answer: " in line
        assert "Could not connect" in line
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=TIMEOUT_S)
    assert running.returncode == 130


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("plain-bucket", "no-such-bucket"), "store-missing"),
        (("profile=admin", "profile=deliveries"), "store-denied"),
        (("http://127.0.0.1", "https://no-such-host.invalid"), "store-missing"),
    ],
)
def test_what_will_not_get_better_ends_a_backup_at_its_first_attempt(
    vault: Vault, change: tuple[str, str], code: str
):
    done = vault.room.json("backup", "v", vault.s3.uri("x").replace(*change), code=1)
    assert done["code"] == code
    assert done["remedy"]
    newest = max(vault.room.json("jobs"), key=lambda job: str(job["created"]))
    assert (newest["state"], newest["attempts"], newest["code"]) == ("failed", 1, code)
