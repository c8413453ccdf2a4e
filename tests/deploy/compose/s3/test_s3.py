"""The local S3 of docker-compose.yml: keys of each user's own, and buckets that have their policies."""

import json
import secrets
import stat
from configparser import ConfigParser
from pathlib import Path

import pytest

from deploy.compose.s3 import s3 as script
from tests.s3_server import S3Server


def credentials(path: Path) -> tuple[str, str]:
    found = ConfigParser()
    found.read(path)
    return found["default"]["aws_access_key_id"], found["default"]["aws_secret_access_key"]


def test_every_user_has_keys_of_its_own_that_the_server_knows(tmp_path: Path) -> None:
    folder = tmp_path / "s3"
    script.make_keys(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    known = {
        each["name"]: (each["credentials"][0]["accessKey"], each["credentials"][0]["secretKey"])
        for each in json.loads((folder / "identities.json").read_text())["identities"]
    }
    assert set(known) == {"admin", *script.ROLES}
    assert {name: credentials(folder / f"{name}.credentials") for name in known} == known
    assert len({secret for _, secret in known.values()}) == len(known)


def test_nobody_but_the_administrator_may_anything_without_a_policy(tmp_path: Path) -> None:
    script.make_keys(tmp_path / "s3")
    found = json.loads((tmp_path / "s3/identities.json").read_text())["identities"]
    assert {each["name"]: each["actions"] for each in found if each["actions"]} == {"admin": ["Admin"]}


def test_keys_that_are_there_are_not_replaced(tmp_path: Path) -> None:
    script.make_keys(tmp_path / "s3")
    before = (tmp_path / "s3/identities.json").read_bytes()
    with pytest.raises(FileExistsError):
        script.make_keys(tmp_path / "s3")
    assert (tmp_path / "s3/identities.json").read_bytes() == before


def test_buckets_are_made_once_and_get_their_policy_each_time(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"made-{secrets.token_hex(6)}"
    monkeypatch.setattr(script, "ENDPOINT", s3.endpoint)
    monkeypatch.setattr(script, "CA", None)
    monkeypatch.setenv("AWS_PROFILE", "admin")
    for action in ("s3:GetObject", "s3:PutObject"):
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{name}/x"}
            ],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(policy))
        script.make_buckets(tmp_path)
        found = s3.client().get_bucket_policy(Bucket=name)["Policy"]
        assert json.loads(found)["Statement"][0]["Action"] in (action, [action])
    assert capsys.readouterr().out == f"bucket {name}\n" * 2
    s3.client().delete_bucket(Bucket=name)
