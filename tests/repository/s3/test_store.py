"""What a store in a bucket asks of the server, and what it takes from it for an object."""

import pytest

from repository.errors import (
    StoreMissing,
    StoreUnreachable,
    StoreUnsupported,
)
from repository.place import parse_place
from repository.s3.store import S3Writer
from repository.s3.transfer import PART
from tests.repository.s3.conftest import NO_WAITING, QUICK, Open
from tests.repository.s3.proxy import Fault, Proxy
from tests.s3_server import BUCKET, S3Server

LARGE = 2 * PART + 1000


def test_what_a_dead_writer_left_is_swept(opened: Open, s3: S3Server, prefix: str):
    client = s3.client()
    client.create_multipart_upload(Bucket=BUCKET, Key=f"{prefix}/packs/aa/bb")
    client.create_multipart_upload(Bucket=BUCKET, Key=f"{prefix}-other/packs/aa/bb")
    store = opened()
    assert list(store.list("")) == []
    assert store.sweep(3600.0) == 0
    assert store.sweep(-5.0) == 1
    assert store.sweep(-5.0) == 0


def test_names_out_of_order_are_refused(opened: Open):
    store = opened()
    # The server sorts folders by their names alone, and "-" comes before "/": no name of ours does that.
    for name in ("packs/0a/x", "packs/0a-b/y"):
        store.put(name, [b"x"])
    with pytest.raises(StoreUnsupported, match="order"):
        list(store.list("packs/"))


def test_what_consoles_leave_is_no_object(opened: Open, s3: S3Server, prefix: str):
    s3.client().put_object(Bucket=BUCKET, Key=f"{prefix}/packs/")
    opened().put("packs/aa/bb", [b"x"])
    assert list(opened().list("")) == ["packs/aa/bb"]


def test_init_looks_at_the_bucket(s3: S3Server, prefix: str):
    def init(bucket: str, **options: str) -> S3Writer:
        return S3Writer(parse_place(s3.uri(prefix, bucket, **options)), QUICK, NO_WAITING, create=True)  # type: ignore[arg-type]

    init(BUCKET)
    with pytest.raises(StoreMissing):
        init("no-such-bucket")
    with pytest.raises(StoreUnsupported, match="ObjectLock") as caught:
        init(BUCKET, lock="governance", retention="1d")
    assert "bucket with Object Lock" in caught.value.remedy


def test_what_the_uri_asks_for_is_in_the_requests(opened: Open, spoiler: Proxy):
    spoiler.faults = [Fault(times=99, status=500)]
    store = opened(
        **{"sse": "aws:kms", "sse-kms-key": "alias/store", "class": "STANDARD_IA", "owner": "123456789012"}
    )
    for name, size in (("packs/aa/bb", 10), ("config", 10), ("packs/aa/cc", LARGE)):
        with pytest.raises(StoreUnreachable):
            store.put(name, [bytes(size)])
    seen = {(each.method, each.target.split("?")[0].rpartition("/")[2]): each for each in spoiler.seen}
    for key in (("PUT", "bb"), ("PUT", "config"), ("POST", "cc")):
        headers = seen[key].headers
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/store"
        assert headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"
        assert headers["x-amz-expected-bucket-owner"] == "123456789012"
        assert headers.get("x-amz-storage-class") == (None if key[1] == "config" else "STANDARD_IA")
    for key in (("PUT", "bb"), ("PUT", "config")):
        assert seen[key].headers["if-none-match"] == "*"
        assert "x-amz-checksum-crc32" in seen[key].headers


def test_every_create_is_conditional_and_has_checksums(opened: Open, spoiler: Proxy):
    opened().put("packs/aa/cc", [bytes(LARGE)])
    ends = [each for each in spoiler.seen if each.method == "POST" and "uploadId" in each.target]
    parts = [each for each in spoiler.seen if "partNumber" in each.target]
    assert [each.headers["if-none-match"] for each in ends] == ["*"]
    assert all("x-amz-checksum-crc32" in each.headers for each in parts)
    assert len(parts) == 3
