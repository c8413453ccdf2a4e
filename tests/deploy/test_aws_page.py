"""What docs/operations-aws.md tells somebody to do can be done: modules take what it gives them, files are there."""

import json
import re
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import hcl2
import pytest

from deploy.iam.names import Names

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations-aws.md").read_text()
BLOCKS = [
    textwrap.dedent(block) for block in re.findall(r"^ *```hcl\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)
]
MODULES = [
    (name.strip('"'), body)
    for block in BLOCKS
    for found in hcl2.loads(block)["module"]
    for name, body in found.items()
]


def variables(folder: Path) -> dict[str, Any]:
    blocks = hcl2.loads((folder / "variables.tf").read_text())["variable"]
    return {name.strip('"'): body for block in blocks for name, body in block.items()}


@pytest.mark.parametrize(("name", "body"), MODULES, ids=[name for name, _ in MODULES])
def test_a_module_is_given_what_it_needs_and_nothing_else(name: str, body: dict[str, Any]) -> None:
    known = variables(ROOT / body["source"].strip('"'))
    given = {each for each in body if not each.startswith("__")} - {"source"}
    assert given <= set(known)
    assert {each for each, declared in known.items() if "default" not in declared} <= given, name


def test_each_module_is_shown() -> None:
    shown = {Path(body["source"].strip('"')).name for _, body in MODULES}
    assert shown == {path.name for path in (ROOT / "deploy/iam/terraform").iterdir()}


def test_roles_come_before_the_cmk_and_are_put_again() -> None:
    """A CMK's policy names them; theirs name the CMK."""
    again = "for role in key-broker-tenant rewrap-tenant"
    places = [PAGE.index("cmk_arns          = []"), PAGE.index("aws kms create-key"), PAGE.rindex(again)]
    assert places == sorted(places)
    assert PAGE.index(again) < places[1]


def test_the_commands_make_the_roles_that_the_module_makes() -> None:
    """With profiles for those that an instance may have; a trust policy names its principals, so they come first."""
    known = [each["process_roles"] for each in terraform("service")["locals"]]
    shown = re.search(r"for role in (key-broker rewrap [^;]*); do\n(.*?) done\n", PAGE, re.DOTALL)
    assert shown
    assert set(shown[1].split()) == set(re.findall(r"[a-z-]+", str(known))) - {"toset"}
    assert "aws iam create-instance-profile" in shown[2]
    assert "aws iam add-role-to-instance-profile" in shown[2]
    assert shown.end() < PAGE.index("$role-trust.json")


def terraform(module: str) -> dict[str, Any]:
    return hcl2.loads((ROOT / "deploy/iam/terraform" / module / "main.tf").read_text())


def plain(value: Any) -> Any:
    """A block of Terraform as hcl2 reads it, in the words of S3's own JSON."""
    if isinstance(value, list):
        return plain(value[0])
    if isinstance(value, dict):
        return {WORDS[key]: plain(each) for key, each in value.items() if not key.startswith("__")}
    return DEFAULTS.get(value, value.strip('"')) if isinstance(value, str) else value


WORDS = {
    "id": "ID",
    "status": "Status",
    "filter": "Filter",
    "prefix": "Prefix",
    "noncurrent_version_expiration": "NoncurrentVersionExpiration",
    "noncurrent_days": "NoncurrentDays",
    "expiration": "Expiration",
    "expired_object_delete_marker": "ExpiredObjectDeleteMarker",
    "days": "Days",
    "abort_incomplete_multipart_upload": "AbortIncompleteMultipartUpload",
    "days_after_initiation": "DaysAfterInitiation",
}
DEFAULTS = {"${var.noncurrent_days}": 30, "${var.prefix}": "parcels/"}
"""As the page gives them to the module."""


@pytest.mark.parametrize("kind", ["repository", "delivery"])
def test_a_buckets_life_cycle_is_the_one_of_the_module(kind: str) -> None:
    (text,) = re.findall(rf"cat >/tmp/mine/{kind}-lifecycle.json <<'END'\n(.*?)END\n", PAGE, re.DOTALL)
    (rule,) = json.loads(text)["Rules"]
    resources = terraform("bucket")["resource"]
    (block,) = [
        found[f'"{kind}"']
        for each in resources
        if (found := each.get('"aws_s3_bucket_lifecycle_configuration"')) and f'"{kind}"' in found
    ]
    assert rule == plain(block["rule"])
    given = dict(MODULES)[kind]
    assert given["prefix"].strip('"') == {"repository": "strongroom/", "delivery": "parcels/"}[kind]
    assert given.get("noncurrent_days", 30) == 30


def test_a_bucket_is_made_private_as_by_the_module() -> None:
    (block,) = [
        found['"this"']
        for each in terraform("bucket")["resource"]
        if (found := each.get('"aws_s3_bucket_public_access_block"'))
    ]
    closed = {key.replace("_", "") for key, value in block.items() if value is True and key[0] != "_"}
    (shown,) = re.findall(r"--public-access-block-configuration \\\n *(\S+)", PAGE)
    assert {each.removesuffix("=true").lower() for each in shown.split(",")} == closed


def test_what_a_vault_locks_its_bucket_takes_and_keeps() -> None:
    """`retention` in step 8, `lock_days` and `noncurrent_days` in step 7."""
    (days,) = set(re.findall(r"lock=governance&retention=(\d+)d", PAGE))
    repository = dict(MODULES)["repository"]
    assert repository["object_lock"] is True
    assert repository["lock_days"] == int(days) + 1
    assert repository["noncurrent_days"] >= int(days)
    assert f'`"lock_days": "{repository["lock_days"]}"`' in PAGE


def test_clients_and_restore_workers_are_told_the_same_area() -> None:
    blocks = re.findall(r"```toml\n( *# (?:client|restore).*?)```", PAGE, re.DOTALL)
    client, worker = map(tomllib.loads, blocks)
    assert worker["delivery"]["areas"] == [client["delivery"]["area"]]
    delivery = dict(MODULES)["delivery"]
    place = "/".join(delivery[key].strip('"') for key in ("name", "prefix")).rstrip("/")
    assert client["delivery"]["area"].startswith(f"s3://{place}?")


@pytest.mark.parametrize("page", ["docs/operations-aws.md", "deploy/iam/README.md"])
def test_the_example_has_one_pair_of_accounts(page: str) -> None:
    text = (ROOT / page).read_text()
    assert set(re.findall(r"(?<![\w-])\d{12}\b", text)) == {Names().service_account, Names().customer_account}


def test_its_files_are_there() -> None:
    named = set(re.findall(r"(?:file://|`)(deploy/[A-Za-z0-9_./-]+)", PAGE))
    generated = {f"deploy/iam/{name}" for name in re.findall(r"/tmp/mine/(json/[a-z-]+\.json)", PAGE)}
    assert "deploy/iam/trust-ec2.json" in named
    assert len(generated) > 2
    for name in named | generated:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_a_uri_with_options_is_quoted(path: Path) -> None:
    """A shell takes `?` for a pattern and `&` for the end of the command."""
    commands = re.findall(r"strongroom [a-z].*", path.read_text())
    bare = [
        each for command in commands for each in re.findall(r"(?<=[\s=])(?:s3|aws-kms)://\S*\?\S*", command)
    ]
    assert not bare
