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
