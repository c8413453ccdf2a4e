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
from deploy.iam.names import Names
from deploy.iam.roles import GARBAGE, PRUNED
from deploy.iam.table import DOCUMENTS
from repository import layout
from tests.aws.policy import Policy
from tests.deploy.iam.attempts import NAMES

FOLDER = Path(generate.__file__).parent
MODULES = ("service", "customer")
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
    names = tmp_path / "names.json"
    names.write_text(
        '{"tenant": "' + "f" * 32 + '", "cmk_arns": ["arn:aws:kms:x"], "vpc_endpoints": ["vpce-9"]}'
    )
    monkeypatch.setattr("sys.argv", ["generate", "--names", str(names), "--out", str(tmp_path / "out")])
    generate.main()
    key = json.loads((tmp_path / "out/json/customer-key.json").read_text())
    assert "f" * 32 in json.dumps(key)
    assert "OnlyThroughEndpoint" in [each["Sid"] for each in key["Statement"]]


@pytest.mark.parametrize("text", ['{"tenants": "x"}', '{"cmk_arns": "x"}', '{"tenant": ["x"]}', "[1", '"x"'])
def test_names_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "names.json").write_text(text)
    with pytest.raises(SystemExit):
        generate.load_names(tmp_path / "names.json")
