"""The committed files are what the table gives, and AWS and Terraform can read them."""

import json
import re
from pathlib import Path
from typing import Any

import hcl2
import pytest

from crypto.keyrecord import encryption_context
from deploy.iam import generate
from deploy.iam.kms import CONTEXT_KEYS
from deploy.iam.names import PREFIX, REQUIRED, Names
from deploy.iam.roles import GARBAGE, PRUNED
from deploy.iam.table import DOCUMENTS
from repository import layout
from tests.aws.policy import Policy
from tests.deploy.iam.attempts import NAMES

FOLDER = Path(generate.__file__).parent
README = (FOLDER / "README.md").read_text()
MODULES = ("service", "customer")
"""That have templates of their own; the module bucket takes those of the customer's buckets."""
MAX_ROLE_POLICY, MAX_BUCKET_POLICY, MAX_KEY_POLICY, MAX_TRUST_POLICY = 10_240, 20_480, 32_768, 2_048
"""Characters without white space: AWS quotas of inline role policies (all together), buckets, KMS and trust."""


def test_committed_files_are_up_to_date() -> None:
    for name, content in generate.files(Names()).items():
        assert (FOLDER / name).read_text() == content, f"run python -m deploy.iam.generate: {name}"
    generated = set(generate.files(Names()))
    for path in (*FOLDER.glob("json/*"), *FOLDER.glob("terraform/*/policies/*")):
        assert str(path.relative_to(FOLDER)) in generated, f"{path} comes from nowhere"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
@pytest.mark.parametrize("names", [Names(), NAMES], ids=["example", "full"])
def test_each_document_is_a_policy_that_aws_takes(document: Any, names: Names) -> None:
    made = generate.policy(document, names)
    (Policy.identity if document.kind == "role" else Policy.resource)(made)
    size = len(json.dumps(made, separators=(",", ":")))
    limits = {
        "role": MAX_ROLE_POLICY,
        "bucket": MAX_BUCKET_POLICY,
        "key": MAX_KEY_POLICY,
        "trust": MAX_TRUST_POLICY,
    }
    assert size <= limits[document.kind]
    assert "<" not in json.dumps(made)


def test_context_keys_are_those_that_are_sent() -> None:
    assert set(CONTEXT_KEYS) == set(encryption_context(bytes(16), bytes(16), "dek", 1))


def test_what_maintenance_may_remove_is_all_but_configuration_and_keys_and_what_it_may_write_less() -> None:
    removed = {layout.JOBS, layout.PACKS, layout.INDEX, layout.MANIFESTS, layout.SNAPSHOTS, layout.PRUNES}
    written = {layout.PACKS, layout.INDEX, layout.SNAPSHOTS, layout.PRUNES}
    for kinds, rows in ((removed, GARBAGE), (written, PRUNED)):
        assert {each.rpartition(">")[2].removesuffix("*") for each in rows} == kinds


def _terraform(text: str, values: dict[str, Any]) -> str:
    """What Terraform's templatefile makes of our templates: `${name}`, `${jsonencode(name)}`, and `$${` for `${`."""

    def fill(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        listed = re.fullmatch(r"jsonencode\((\w+)\)", match[1])
        return json.dumps(values[listed[1]]) if listed else str(values[match[1]])

    return re.sub(r"\$\$\{|\$\{([^}]*)\}", fill, text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_templates_give_the_same_policies(document: Any) -> None:
    values = dict(generate._known(NAMES))
    text = (FOLDER / f"terraform/{document.account}/policies/{document.name}.json.tftpl").read_text()
    assert json.loads(_terraform(text, values)) == generate.policy(document, NAMES)


def _module(account: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for path in (FOLDER / "terraform" / account).glob("*.tf"):
        for kind, blocks in hcl2.loads(path.read_text()).items():
            merged.setdefault(kind, []).extend(blocks if isinstance(blocks, list) else [blocks])
    return merged


@pytest.mark.parametrize("account", MODULES)
def test_modules_can_be_read_and_know_every_name_that_their_templates_use(account: str) -> None:
    module = _module(account)
    text = json.dumps(module)
    variables = {name.strip('"') for block in module["variable"] for name in block}
    used = set(re.findall(r"var\.(\w+)", text))
    assert used == variables
    names = set()
    for block in module["locals"]:
        for key, value in block.items():
            if key.strip('"') == "names":
                names |= {each.strip('"') for each in value}
    wanted = set()
    for document in DOCUMENTS:
        if document.account == account:
            template = (FOLDER / f"terraform/{account}/policies/{document.name}.json.tftpl").read_text()
            assert f"{document.name}.json.tftpl" in text or "${name}.json.tftpl" in text
            wanted |= set(re.findall(r"(?<!\$)\$\{(?:jsonencode\()?(\w+)", template))
    assert wanted <= {each for each in names if not each.startswith("__")}


def _variables(account: str) -> dict[str, dict[str, Any]]:
    found = {name: body for block in _module(account)["variable"] for name, body in block.items()}
    return {name.strip('"'): body for name, body in found.items()}


def test_a_variable_is_the_same_in_every_module_that_has_it() -> None:
    """Terraform has each module declare its variables itself; what they take and refuse must not drift apart."""
    seen: dict[str, dict[str, Any]] = {}
    for module in (*MODULES, "bucket"):
        for name, body in _variables(module).items():
            # A bucket has to be named for the roles, and may be left out where it only gets its policy.
            same = ("type", "validation") if name.endswith("_bucket") else ("type", "validation", "default")
            kept = {key: body.get(key) for key in same}
            assert seen.setdefault(name, kept) == kept, name


def test_a_bucket_of_the_module_gets_the_policy_of_its_kind() -> None:
    text = (FOLDER / "terraform/bucket/main.tf").read_text()
    assert set(re.findall(r"var\.(\w+)", json.dumps(_module("bucket")))) == set(_variables("bucket"))
    (given,) = (block["names"] for block in _module("bucket")["locals"])
    assert "/../customer/policies/${var.kind}-bucket.json.tftpl" in text
    for kind in ("repository", "delivery"):
        path = FOLDER / f"terraform/customer/policies/{kind}-bucket.json.tftpl"
        wanted = set(re.findall(r"(?<!\$)\$\{(?:jsonencode\()?(\w+)", path.read_text()))
        assert wanted <= {name.strip('"') for name in given}
        assert '"Sid": "OnlyTls"' in path.read_text()


def test_a_bucket_of_the_module_is_private_has_versions_and_ends_nothing_that_is_in_use() -> None:
    found = {name.strip('"'): body for block in _module("bucket")["resource"] for name, body in block.items()}
    text = (FOLDER / "terraform/bucket/main.tf").read_text()
    rest = {
        "aws_s3_bucket_ownership_controls",
        "aws_s3_bucket_server_side_encryption_configuration",
        "aws_s3_bucket_versioning",
        "aws_s3_bucket_policy",
    }
    assert rest <= set(found)
    assert len(re.findall(r"^  (?:block|ignore|restrict)_public_\w+ += true$", text, re.MULTILINE)) == 4
    repository = text.partition('"aws_s3_bucket_lifecycle_configuration" "repository"')[2].partition("\n}\n")[
        0
    ]
    assert "noncurrent_version_expiration" in repository
    assert "abort_incomplete_multipart_upload" in repository
    (expiration,) = re.findall(r"\n    expiration \{(.*?)\}", repository, re.DOTALL)
    assert expiration.split() == ["expired_object_delete_marker", "=", "true"]


@pytest.mark.parametrize(
    ("account", "name"),
    [
        *((account, f"{place}_prefix") for account in MODULES for place in ("repository", "delivery")),
        ("bucket", "prefix"),
    ],
)
def test_a_prefix_is_one_in_terraform_as_in_json(account: str, name: str) -> None:
    (validation,) = _variables(account)[name]["validation"]
    (pattern,) = re.findall(r'regex\("([^"]*)"', validation["condition"])
    assert pattern.removeprefix("^").removesuffix("$") == PREFIX
    for prefix, taken in (
        ("", True),
        ("a/", True),
        ("a/*/", True),
        ("a", False),
        ("/", False),
        ("/a/", False),
    ):
        assert (re.search(pattern, prefix) is not None) == taken


def test_only_process_roles_are_trusted_by_name() -> None:
    condition = _variables("service")["trust"]["validation"][0]["condition"]
    local = next(block["process_roles"] for block in _module("service")["locals"])
    roles = {each.name for each in DOCUMENTS if each.kind == "role" and not each.name.endswith("-tenant")}
    # With quotes and without: hcl2 gives lists in expressions as text.
    assert set(re.findall(r"[a-z-]{6,}", condition.partition("contains(")[2].partition("]")[0])) == roles
    assert set(re.findall(r"[a-z-]{6,}", local.partition("[")[2])) == roles


def test_a_cmk_of_its_own_needs_no_bucket() -> None:
    variables = _variables("customer")
    text = (FOLDER / "terraform/customer/main.tf").read_text()
    for place in ("repository", "delivery"):
        assert "default" in variables[f"{place}_bucket"]
        assert f"count  = var.{place}_bucket == null ? 0 : 1" in text


def test_the_trust_policy_of_instances_is_one() -> None:
    Policy.resource(json.loads((FOLDER / "trust-ec2.json").read_text()))
    assert '"${path.module}/../../trust-ec2.json"' in (FOLDER / "terraform/service/main.tf").read_text()


def test_terraform_leaves_out_the_same_statements() -> None:
    for account in MODULES:
        text = (FOLDER / f"terraform/{account}/optional.tf").read_text()
        needs = {
            each.sid: each.needs
            for document in DOCUMENTS
            if document.account == account
            for each in document.statements
            if each.needs
        }
        assert dict(re.findall(r"(\w+)\s+= length\(var\.(\w+)\)", text)) == needs


def test_own_names_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = _generated(tmp_path, monkeypatch, OWN | {"vpc_endpoints": ["vpce-9"]})
    key = json.loads((out / "json/customer-key.json").read_text())
    assert "f" * 32 in json.dumps(key)
    assert {each.name for each in out.iterdir()} == {"json"}, "a module without its main.tf is none"
    assert "OnlyThroughEndpoint" in [each["Sid"] for each in key["Statement"]]


CMK = "arn:aws:kms:eu-west-1:888877776666:key/1"
OWN: dict[str, Any] = {
    "service_account": "999988887777",
    "customer_account": "888877776666",
    "tenant": "f" * 32,
    "cmk_arns": [CMK],
    "repository_bucket": "mine",
    "delivery_bucket": "mine-too",
}


def _generated(folder: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, Any]) -> Path:
    (folder / "names.json").write_text(json.dumps(names))
    words = ["generate", "--names", str(folder / "names.json"), "--out", str(folder / "out")]
    monkeypatch.setattr("sys.argv", words)
    generate.main()
    return folder / "out"


def test_nobody_of_the_example_gets_into_ones_own_policies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The least that a file of names must have is enough for it."""
    out = _generated(tmp_path, monkeypatch, OWN)
    text = "".join(path.read_text() for path in (out / "json").iterdir())
    example = Names()
    for name in REQUIRED:
        theirs = getattr(example, name)
        for value in (theirs,) if isinstance(theirs, str) else theirs:
            assert value not in text, name
    assert not [arn for arn in example.old_cmk_arns if arn in text]
    assert CMK in text


@pytest.mark.parametrize("name", REQUIRED)
def test_a_name_that_would_be_the_examples_has_to_be_given(tmp_path: Path, name: str) -> None:
    (tmp_path / "names.json").write_text(json.dumps({each: OWN[each] for each in OWN if each != name}))
    with pytest.raises(SystemExit, match=name):
        generate.load_names(tmp_path / "names.json")


def test_roles_can_be_made_before_there_is_a_cmk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A CMK's policy names them, and AWS refuses one whose principals do not exist."""
    out = _generated(tmp_path, monkeypatch, OWN | {"cmk_arns": []})
    assert "cmk_arns" in capsys.readouterr().out
    for path in (out / "json").iterdir():
        for row in json.loads(path.read_text())["Statement"]:
            assert row.get("Resource", row.get("NotResource", ["*"])), (path.name, row["Sid"])
    for name in ("key-broker-tenant", "rewrap-tenant"):
        document = json.loads((out / f"json/{name}.json").read_text())
        assert [row["Effect"] for row in document["Statement"]] == ["Deny"]


def test_the_command_of_the_readme_gives_all_names(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^cat >mine.json <<'END'\n(.*?)^END$", README, re.DOTALL | re.MULTILINE)
    (tmp_path / "names.json").write_text(shown)
    assert not set(REQUIRED) - set(json.loads(shown))
    generate.load_names(tmp_path / "names.json")


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenants": "x"},
        {"cmk_arns": CMK},
        {"cmk_arns": ["arn:aws:kms:eu-west-1:888877776666:alias/mine"]},
        {"tenant": ["f" * 32]},
        {"tenant": "F" * 32},
        {"service_account": "99998888777"},
        {"repository_prefix": "repo"},
        {"delivery_prefix": "/"},
    ],
    ids=str,
)
def test_names_that_are_none_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    (tmp_path / "names.json").write_text(json.dumps(OWN | wrong))
    with pytest.raises(SystemExit, match=next(iter(wrong))):
        generate.load_names(tmp_path / "names.json")


@pytest.mark.parametrize("text", ["[1", '"x"', "[]"])
def test_what_is_no_table_of_names_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "names.json").write_text(text)
    with pytest.raises(SystemExit):
        generate.load_names(tmp_path / "names.json")
