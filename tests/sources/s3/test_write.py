"""Writing objects of a real bucket."""

import secrets
from collections.abc import Iterator

import msgspec
import pytest

from repository.s3.client import forget_clients
from sources.s3.bucket import Bucket
from sources.s3.metadata import ObjectMeta
from sources.s3.place import parse
from sources.s3.write import PART, ObjectWriter
from sources.source import Unwritable
from tests.s3_server import BUCKET, S3Server
from tests.sources.s3.conftest import QUICK

PLAIN = ObjectMeta("k", "", "", 1, "", "", "", "", "", "", "", "", [], [])


@pytest.fixture
def writer(s3: S3Server) -> Iterator[ObjectWriter]:
    forget_clients()
    yield ObjectWriter(Bucket(parse(s3.uri("")).place, QUICK), overwrite=False)
    forget_clients()


@pytest.fixture
def key() -> str:
    return f"written/{secrets.token_hex(8)}"


def test_an_upload_of_which_a_part_is_missing_is_not_completed(writer: ObjectWriter, key: str, s3: S3Server):
    upload, _ = writer.begin(b"/p", key, PLAIN)
    writer.send(b"/p", key, upload, 1, bytes(PART))
    writer.send(b"/p", key, upload, 3, b"end")
    with pytest.raises(Unwritable, match="did not arrive"):
        writer.complete(b"/p", key, upload, 2 * PART + 3)
    writer.complete(b"/p", key, upload, PART + 3)
    assert s3.client().head_object(Bucket=BUCKET, Key=key)["ContentLength"] == PART + 3


def test_an_upload_that_is_gone_is_removed_without_complaint(writer: ObjectWriter, key: str):
    upload, _ = writer.begin(b"/p", key, PLAIN)
    writer.abort(key, upload)
    writer.abort(key, upload)


def test_what_s3_does_not_take_of_metadata_is_told(writer: ObjectWriter, key: str, s3: S3Server):
    odd = msgspec.structs.replace(PLAIN, expires="soon", metadata=[("plain", "1"), ("odd", "\u00fc")])
    notes = writer.put(b"/p", key, odd, b"data")
    assert [note.partition(" is not restored")[0] for note in notes] == [
        "metadata that is not ASCII",
        "Expires 'soon'",
    ]
    assert s3.client().head_object(Bucket=BUCKET, Key=key)["Metadata"] == {"plain": "1"}


def test_metadata_that_s3_encoded_goes_back_as_it_came(writer: ObjectWriter, key: str, s3: S3Server):
    encoded = "=?UTF-8?B?w7w=?="
    writer.put(b"/p", key, msgspec.structs.replace(PLAIN, metadata=[("odd", encoded)]), b"data")
    assert s3.client().head_object(Bucket=BUCKET, Key=key)["Metadata"] == {"odd": encoded}
