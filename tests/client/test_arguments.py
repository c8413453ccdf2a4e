import os
from pathlib import Path

import pytest

from client.arguments import (
    bucket_paths,
    bucket_target,
    kms_uri,
    patterns,
    repository_uri,
    require_objects,
    snapshot_filter,
    snapshot_path,
    source_paths,
    vault_name,
)
from client.errors import BadArgument, MissingPath
from config.errors import StrongroomError
from crypto.job import SnapshotFilter


@pytest.mark.parametrize(
    ("text", "snapshot", "path"),
    [
        ("latest", "latest", b""),
        ("abcd", "abcd", b""),
        ("0123456789abcdef" * 2, "0123456789abcdef" * 2, b""),
        ("latest:/a/b", "latest", b"/a/b"),
        ("latest:/a//b/", "latest", b"/a/b"),
        ("latest:/a/./b/../c", "latest", b"/a/c"),
        ("latest://a", "latest", b"/a"),
        ("latest:/", "latest", b""),
        ("latest:", "latest", b""),
        ("latest:/with:colon", "latest", b"/with:colon"),
        ("latest:/caf\udce9", "latest", b"/caf\xe9"),
        ("latest:s3://bucket", "latest", b"/s3:/bucket"),
        ("latest:s3://bucket/a/b/?profile=p", "latest", b"/s3:/bucket/a/b"),
        ("latest:s3://bucket/a//b%20c", "latest", b"/s3:/bucket/a/\1/b c"),
    ],
)
def test_snapshot_and_path(text: str, snapshot: str, path: bytes):
    assert snapshot_path(text) == (snapshot, path)


@pytest.mark.parametrize(
    "text",
    ["", "abc", "Latest", "xyz1", "../etc", "0" * 33, "latest:relative", "latest:/nul\0", "latest:s3://B/x"],
)
def test_what_is_no_snapshot_is_refused(text: str):
    with pytest.raises(BadArgument) as caught:
        snapshot_path(text)
    assert caught.value.remedy


def test_paths_are_made_absolute_and_links_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    found = source_paths(("link", "./real/"), here=True)
    assert found == (os.fsencode(tmp_path / "link"), os.fsencode(tmp_path / "real"))


def test_a_path_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(MissingPath, match="nothing"):
        source_paths((str(tmp_path / "nothing"),), here=True)
    assert source_paths((str(tmp_path / "nothing"),), here=False)


def test_repositories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert repository_uri("file:///a/b%20c") == "file:///a/b%20c"
    assert repository_uri("/a/b c/") == "file:///a/b%20c"
    assert repository_uri("here") == (tmp_path / "here").as_uri()
    uri = "s3://bucket/pre/fix/?profile=me&endpoint=https://s3.example.org/"
    assert repository_uri(uri) == "s3://bucket/pre/fix?endpoint=https://s3.example.org&profile=me"
    for bad in ("s3://x", "s3:bucket", "http://x/y", "file://host/path", "file:///a?b", "", "file://"):
        with pytest.raises(BadArgument):
            repository_uri(bad)


def test_cmks_and_names():
    assert kms_uri("local-kms://docs") == "local-kms://docs"
    assert vault_name("my-vault.1") == "my-vault.1"
    arn = "arn:aws:kms:eu-central-1:444455556666:key/11111111-2222-3333-4444-555555555555"
    for good in (arn, f"{arn}?endpoint=https://a.example&ca=/x", arn.replace("key/", "key/mrk-")):
        assert kms_uri(f"aws-kms://{good}") == f"aws-kms://{good}"
    alias = arn.replace(":key/", ":alias/")
    aws = ("aws-kms://x", f"aws-kms://{alias}", f"aws-kms://{arn}?a b", f"aws-kms://{arn}?{'x' * 3000}")
    for bad in (*aws, "local-kms://", "local-kms://a/b", "docs"):
        with pytest.raises(BadArgument):
            kms_uri(bad)
    for bad in ("", "-x", "a b", "a/b", "x" * 65):
        with pytest.raises(BadArgument):
            vault_name(bad)


def test_a_bad_pattern_is_refused_before_anything_is_started():
    assert patterns(("*.o", "/a/**/b")) == ("*.o", "/a/**/b")
    with pytest.raises(StrongroomError, match="pattern"):
        patterns(("[a-",))


def test_uris_of_objects_get_the_one_form_that_they_can_have():
    assert bucket_paths(("/home", "relative")) == ()
    assert bucket_paths(("s3://bucket/a b/?profile=p&region=eu-central-1", "s3://bucket")) == (
        b"s3://bucket/a%20b?region=eu-central-1&profile=p",
        b"s3://bucket",
    )


@pytest.mark.parametrize(
    "texts",
    [
        ("s3://bucket/a", "/home"),
        ("s3://Bucket",),
        ("s3://bucket/a?secret_key=x",),
        ("s3://bucket/a?lock=governance&retention=1d",),
    ],
)
def test_uris_that_name_no_objects_are_refused(texts: tuple[str, ...]):
    with pytest.raises(BadArgument) as refused:
        bucket_paths(texts)
    assert refused.value.remedy


def test_a_target_is_a_folder_or_a_bucket():
    assert bucket_target("/some/folder", overwrite=False) is None
    place = bucket_target("s3://bucket/back", overwrite=True)
    assert place is not None
    assert (place.place.bucket, place.folder) == ("bucket", "back/")
    with pytest.raises(BadArgument):
        bucket_target("/some/folder", overwrite=True)
    with pytest.raises(BadArgument):
        bucket_target("s3://bucket/back?sse=AES256", overwrite=False)


OF_FILES = {"id": "aa" * 16, "paths": ["/home"]}
OF_OBJECTS = {"id": "bb" * 16, "paths": ["/s3:/bucket"]}


@pytest.mark.parametrize(
    ("snapshots", "wanted", "refused"),
    [
        ([OF_FILES, OF_OBJECTS], "latest", False),
        ([OF_OBJECTS, OF_FILES], "latest", True),
        ([OF_FILES, OF_OBJECTS], "aaaa", True),
        ([OF_FILES, OF_OBJECTS], "bbbb", False),
        ([], "latest", False),
        ([OF_FILES], "cccc", False),
        ([{"id": "dd" * 16, "error": "damaged"}], "dddd", False),
    ],
)
def test_a_snapshot_of_files_is_not_restored_to_a_bucket(
    snapshots: list[dict[str, object]], wanted: str, refused: bool
):
    if refused:
        with pytest.raises(BadArgument):
            require_objects(snapshots, wanted)
    else:
        require_objects(snapshots, wanted)


@pytest.mark.parametrize(("path", "refused"), [(b"/s3:/b/key", False), (b"/s3:", False), (b"/srv", True)])
def test_where_latest_depends_on_the_path_the_path_says_what_it_is(path: bytes, refused: bool):
    for newest in (OF_FILES, OF_OBJECTS):
        if refused:
            with pytest.raises(BadArgument):
                require_objects([newest], "latest", path)
        else:
            require_objects([newest], "latest", path)


def test_a_filter_is_read_as_restic_reads_it():
    found = snapshot_filter(["web1"], ["a,b", "c"], ["/srv//www/", "/", "s3://bucket/k"])
    assert found == SnapshotFilter(("web1",), (("a", "b"), ("c",)), (b"/srv/www", b"/", b"/s3:/bucket/k"))


@pytest.mark.parametrize(
    ("tags", "paths", "snapshot"), [(["a,"], [], "latest"), ([], ["srv"], "latest"), (["a"], [], "abcd")]
)
def test_a_filter_that_means_nothing_is_refused(tags: list[str], paths: list[str], snapshot: str):
    with pytest.raises(BadArgument):
        snapshot_filter([], tags, paths, snapshot)
