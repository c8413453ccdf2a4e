"""Objects out of parcels into a real bucket: nothing has its key unless it is what was backed up."""

import multiprocessing
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3

from client.restore.bucket import BucketAssembler, BucketTarget, key_of
from client.restore.finish import Finisher
from client.restore.uploads import Uploads
from config.settings import StoreSettings
from crypto.parcel import OpenParcel
from repository.s3.client import forget_clients
from sources.s3.bucket import Bucket
from sources.s3.metadata import ObjectMeta, encode
from sources.s3.place import parse
from sources.s3.write import PART, ObjectWriter, part_size
from sources.source import TargetNotEmpty, UnsafePath
from tests.client.deliveries import ParcelMaker
from tests.repository.s3.proxy import Fault, Proxy, proxy
from tests.s3_server import BUCKET, S3Server

QUICK = StoreSettings(connect_timeout_s=2.0, read_timeout_s=2.0, deadline_s=5.0)
TOP = b"/s3:/somewhere"


PLAIN = ObjectMeta("k", "", "", 1, "", "", "", "", "", "", "", "", [], [])


def meta(**changes: Any) -> bytes:
    return encode(msgspec.structs.replace(PLAIN, **changes))


class There:
    """A prefix of the bucket, and what an assembler of it makes of parcels."""

    def __init__(self, s3: S3Server, spoiler: Proxy) -> None:
        self.s3, self.spoiler = s3, spoiler
        self.prefix = f"restored/{secrets.token_hex(6)}"
        self.target = self.open()
        self.finisher = Finisher(b"")

    def open(self, *, overwrite: bool = False) -> BucketTarget:
        uri = self.s3.uri(self.prefix, endpoint=self.spoiler.endpoint)
        return BucketTarget(parse(uri), QUICK, overwrite=overwrite)

    def give(self, *makers: ParcelMaker, target: BucketTarget | None = None) -> int:
        """Take the parcels as one segment, and finish; returns how many objects were completed."""
        target = target or self.target
        assembler = target.assembler(b"")
        files = sum(_give(assembler, maker) for maker in makers)
        report = assembler.end_segment(0)
        assembler.close()
        self.finisher.fail(report.failed)
        self.finisher.add(report.dirs, report.links, report.parts, report.notes)
        return files + target.finish(self.finisher)

    def objects(self) -> dict[str, bytes]:
        client = self.s3.client()
        found = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/").get("Contents", ())
        return {
            each["Key"].removeprefix(f"{self.prefix}/"): client.get_object(Bucket=BUCKET, Key=each["Key"])[
                "Body"
            ].read()
            for each in found
        }

    def uploads(self) -> list[object]:
        return [
            each
            for each in self.s3.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
            if each["Key"].startswith(self.prefix)
        ]


@pytest.fixture
def there(s3: S3Server) -> Iterator[There]:
    forget_clients()
    with proxy(s3.endpoint) as spoiler:
        made = There(s3, spoiler)
        yield made
        made.target.remove()
    forget_clients()


def _give(assembler: BucketAssembler, maker: ParcelMaker) -> int:
    return assembler.take(0, OpenParcel(maker.table(), memoryview(b"".join(maker.payload))))[0]


def small(path: bytes, data: bytes, digest: bytes = b"") -> ParcelMaker:
    maker = ParcelMaker()
    maker.file(TOP + path, data, meta=meta())
    if digest:
        maker.pieces[0] = msgspec.structs.replace(maker.pieces[0], digest=digest)
    return maker


def large(
    path: bytes, data: bytes, *, size: int = -1, offset: int = 0, length: int = -1, digest: bytes = b""
) -> list[ParcelMaker]:
    """An entry in parcels of 3 MiB."""
    step = 3 << 20
    makers = []
    for at in range(0, len(data), step):
        maker = ParcelMaker()
        piece = data[at : at + step]
        maker.piece(
            TOP + path,
            "f",
            size=len(data) if size < 0 else size,
            meta=meta(),
            digest=digest or blake3(data).digest(),
            part_offset=offset,
            part_length=length,
            data_offset=at,
            last=at + step >= len(data),
            extents=(maker.chunk(piece, codec=0), 0, len(piece)),
        )
        makers.append(maker)
    return makers


BIG = os.urandom(2 * PART + 12345)


def test_small_and_large_objects(there: There):
    assert there.give(small(b"/a/b", b"one"), small(b"/empty", b""), *large(b"/big", BIG)) == 3
    assert there.objects() == {"a/b": b"one", "empty": b"", "big": BIG}
    assert there.finisher.failed == {}
    assert there.uploads() == []


def test_what_is_there_is_known_afterwards(there: There):
    there.give(small(b"/a/b", b"one"))
    assert there.target.holds(TOP + b"/a/b", b"")
    assert there.target.holds(TOP + b"/x/a/b", TOP + b"/x")
    assert not there.target.holds(TOP + b"/a", b"")


def test_what_is_not_as_it_was_backed_up_never_gets_its_key(there: There):
    wrong = blake3(b"other").digest()
    done = there.give(
        small(b"/small", b"data", digest=wrong), *large(b"/big", BIG, digest=wrong), small(b"/good", b"good")
    )
    assert done == 1
    assert there.objects() == {"good": b"good"}
    assert set(there.finisher.failed) == {TOP + b"/small", TOP + b"/big"}
    assert all("digest differs" in why for why in there.finisher.failed.values())
    assert there.uploads() == []


def test_an_object_whose_end_never_comes_is_named_and_nothing_of_it_stays(there: There):
    assert there.give(*large(b"/big", BIG)[:-1]) == 0
    assert there.finisher.failed == {TOP + b"/big": "its end was not delivered"}
    assert (there.objects(), there.uploads()) == ({}, [])


@pytest.mark.parametrize("lost", [False, True])
def test_parts_of_a_huge_object_come_to_several_processes(there: There, lost: bool):
    cut = PART + 77
    parts = [(0, cut), (cut, len(BIG) - cut)]
    for offset, length in parts[: 1 if lost else 2]:
        assembler = there.target.assembler(b"")  # as another opener process would have it
        for maker in large(
            b"/huge", BIG[offset : offset + length], size=len(BIG), offset=offset, length=length
        ):
            assert _give(assembler, maker) == 0
        report = assembler.end_segment(0)
        assembler.close()
        there.finisher.add(report.dirs, report.links, report.parts, report.notes)
    assert there.objects() == {}, "not before all of it is verified"
    assert there.target.finish(there.finisher) == (0 if lost else 1)
    assert there.objects() == ({} if lost else {"huge": BIG})
    assert there.uploads() == []
    assert set(there.finisher.failed) == ({TOP + b"/huge"} if lost else set())


def test_a_key_that_somebody_has_taken_meanwhile_is_left_alone(there: There):
    there.s3.client().put_object(Bucket=BUCKET, Key=f"{there.prefix}/a", Body=b"mine")
    there.s3.client().put_object(Bucket=BUCKET, Key=f"{there.prefix}/big", Body=b"mine")
    assert there.give(small(b"/a", b"ours"), *large(b"/big", BIG), small(b"/b", b"b")) == 1
    assert there.objects() == {"a": b"mine", "big": b"mine", "b": b"b"}
    assert {path: "already" in why for path, why in there.finisher.failed.items()} == {
        TOP + b"/a": True,
        TOP + b"/big": True,
    }


def test_a_prefix_with_objects_is_refused_unless_they_may_be_replaced(there: There):
    there.s3.client().put_object(Bucket=BUCKET, Key=f"{there.prefix}/a", Body=b"mine")
    with pytest.raises(TargetNotEmpty):
        there.open()
    assert there.give(small(b"/a", b"ours"), target=there.open(overwrite=True)) == 1
    assert there.objects() == {"a": b"ours"}


@pytest.mark.parametrize("drop", ["request", "answer"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_requests_that_get_lost_are_made_again(there: There, drop: str, method: str):
    there.spoiler.faults.append(
        Fault(lambda request: request.method == method and "uploads" not in request.target, drop=drop)
    )
    assert there.give(small(b"/a", b"data"), *large(b"/big", BIG)) == 2
    assert there.objects() == {"a": b"data", "big": BIG}
    assert there.finisher.failed == {}


def test_tags_that_may_not_be_written_are_a_note(there: There):
    maker = ParcelMaker()
    maker.file(TOP + b"/a", b"data", meta=meta(tags=[("k", "v")], expires="when it is due"))
    there.spoiler.faults.append(
        Fault(lambda request: "x-amz-tagging" in request.headers, status=403, code="AccessDenied")
    )
    assert there.give(maker) == 1
    assert there.objects() == {"a": b"data"}
    told = [note for _, note in there.finisher.notes]
    assert any("1 tags are not restored" in note for note in told)
    assert any("Expires" in note for note in told)


def test_files_and_folders_are_refused_by_name(there: There):
    maker = ParcelMaker()
    maker.file(b"/home/file", b"data")
    maker.piece(b"/home", "d")
    assert there.give(maker) == 0
    assert set(there.finisher.failed) == {b"/home/file", b"/home"}
    assert all("no object" in why for why in there.finisher.failed.values())


@pytest.mark.parametrize(
    ("path", "strip", "key"),
    [
        (b"/s3:/b/a/c", b"", "to/a/c"),
        (b"/s3:/b/a/c", b"/s3:", "to/a/c"),
        (b"/s3:/b/a/c", b"/s3:/b", "to/a/c"),
        (b"/s3:/b/a/c", b"/s3:/b/a", "to/c"),
        (b"/s3:/b/a/c", b"/s3:/b/a/c", "to/c"),
        (b"/s3:/b/a/\1/c/\1", b"/s3:/b/a", "to//c/"),
        (b"/s3:/b/..\1/x", b"", "to/../x"),
    ],
)
def test_where_a_path_lands(path: bytes, strip: bytes, key: str):
    assert key_of("to/", path, strip) == key


@pytest.mark.parametrize("path", [b"/etc/passwd", b"/s3:/b", b"/s3:", b"/", b"/s3:x/b/c", b"/s3:/b/other/c"])
def test_a_path_that_is_no_object_or_lies_elsewhere_lands_nowhere(path: bytes):
    with pytest.raises(UnsafePath):
        key_of("to/", path, b"/s3:/b/a")


def _join(folder: Path, uri: str, results: "multiprocessing.Queue[str]") -> None:
    writer = ObjectWriter(Bucket(parse(uri).place, QUICK), overwrite=False)
    results.put(Uploads(folder).join(writer, b"/p", "joined", PLAIN)[0])


def test_processes_that_share_a_folder_share_an_upload(s3: S3Server, tmp_path: Path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_join, args=(tmp_path, s3.uri(""), results)) for _ in range(4)]
    for process in processes:
        process.start()
    found = {results.get(timeout=30) for _ in processes}
    for process in processes:
        process.join()
    assert len(found) == 1
    assert Uploads(tmp_path).left() == [("joined", *found)]
    ObjectWriter(Bucket(parse(s3.uri("")).place, QUICK), overwrite=False).abort("joined", found.pop())


def test_an_object_never_has_more_parts_than_s3_takes():
    for size in (1, PART, 100 << 30, 5 << 40):
        assert -(-size // part_size(size)) <= 10_000
