"""Objects of a bucket on a real S3 server, backed up and restored, over the whole stack."""

import json
import os
import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.conftest import Strongroom, read_tree
from tests.s3_server import BUCKET, S3Server

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
    vault.room.json("restore", "v", f"latest:{vault.path}/big", "--target", vault.s3.uri(target))
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
    refused = vault.room.run("restore", "files", "latest", "--target", vault.s3.uri(target), code=1)
    assert "snapshot is of files" in refused.stderr
    assert listed(vault.s3, target) == {}
