"""Uploads in parts to a real bucket: one for each object, whoever comes first, and nothing of what is not verified."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from blake3 import blake3

from client.errors import EntryDamaged
from client.restore.uploads import GrowingObject, Uploads
from crypto.parcel import Piece
from repository.s3.client import forget_clients
from sources.s3.bucket import Bucket
from sources.s3.place import parse
from sources.s3.write import ObjectWriter
from tests.client.deliveries import ParcelMaker
from tests.client.restore.test_bucket import PLAIN, QUICK
from tests.s3_server import BUCKET, S3Server

SIZE = 6 << 20


@pytest.fixture
def writer(s3: S3Server) -> Iterator[ObjectWriter]:
    forget_clients()
    yield ObjectWriter(Bucket(parse(s3.uri("")).place, QUICK), overwrite=False)
    forget_clients()


@pytest.fixture
def key() -> str:
    return f"uploads/{secrets.token_hex(8)}"


def begun(s3: S3Server, key: str) -> list[str]:
    found = s3.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
    return [each["UploadId"] for each in found if each["Key"] == key]


def piece_of(data: bytes) -> Piece:
    maker = ParcelMaker()
    maker.piece(b"/k", "f", size=len(data), digest=blake3(data).digest())
    return maker.pieces[0]


def test_one_upload_for_all_that_ask_at_once(
    writer: ObjectWriter, key: str, s3: S3Server, tmp_path: Path
) -> None:
    uploads = Uploads(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        ids = {each[0] for each in pool.map(lambda _: uploads.join(writer, b"/k", key, PLAIN), range(8))}
    assert ids == set(begun(s3, key))
    assert len(ids) == 1
    assert uploads.left() == [(key, *ids)]
    assert uploads.take(key) == ids.pop()
    uploads.forget(key)
    assert uploads.left() == []
    with pytest.raises(EntryDamaged):
        uploads.take(key)
    uploads.close()
    assert not tmp_path.exists()


def test_what_is_no_note_of_an_upload_is_passed_over(tmp_path: Path) -> None:
    for name, data in (("half", b'{"key'), ("empty", b""), ("other", b"[1, 2]")):
        (tmp_path / name).write_bytes(data)
    assert Uploads(tmp_path).left() == []


@pytest.mark.parametrize("right", [True, False])
def test_an_object_is_sent_on_the_way_and_verified_at_its_end(
    writer: ObjectWriter, key: str, s3: S3Server, tmp_path: Path, right: bool
) -> None:
    data = secrets.token_bytes(SIZE)
    upload, _ = Uploads(tmp_path).join(writer, b"/k", key, PLAIN)
    with ThreadPoolExecutor(2) as pool:
        growing = GrowingObject(writer, pool, piece_of(data), key, upload)
        for begin in range(0, SIZE, 1 << 20):
            growing.write([memoryview(data)[begin : begin + (1 << 20)]])
        if right:
            growing.end(piece_of(data))
        else:
            with pytest.raises(EntryDamaged):
                growing.end(piece_of(data[1:]))
            growing.stop()
    assert growing.received == SIZE
    parts = s3.client().list_parts(Bucket=BUCKET, Key=key, UploadId=upload).get("Parts", [])
    assert (sum(each["Size"] for each in parts) == SIZE) == right
    s3.client().abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)
