"""Writes the policy files from the table: plain JSON, and the templates and variables of the Terraform modules.

    python -m deploy.iam.generate                                     # the committed files, with example names
    python -m deploy.iam.generate --names mine.json --out /tmp/mine   # JSON ready to put, with the names of `mine.json`

With `--names` it writes the JSON alone: the modules take names as variables. `mine.json` holds fields of
`deploy.iam.names.Names`, those of `REQUIRED` at least.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import msgspec

from deploy.iam.names import REQUIRED, Names
from deploy.iam.statement import Document, Statement
from deploy.iam.table import DOCUMENTS

HERE: Final = Path(__file__).parent
VERSION: Final = "2012-10-17"
_TOKEN = re.compile(r"<([a-z_]+)>")
_RAW = re.compile(r'"@@(.*?)@@"')

Value = str | list[str]
Fill = Callable[[str], Value]


def policy(document: Document, names: Names) -> dict[str, Any]:
    """One policy with the names of an installation, ready for AWS."""
    known = _known(names)

    def fill(text: str) -> Value:
        whole = _TOKEN.fullmatch(text)
        if whole is not None:
            return known[whole[1]]
        return _TOKEN.sub(lambda match: str(known[match[1]]), text)

    kept = [each for each in document.statements if not each.needs or known[each.needs]]
    return {"Version": VERSION, "Statement": [_statement(each, document, fill) for each in kept]}


def template(document: Document) -> str:
    """One policy as a template for Terraform's `templatefile`; every statement is in it."""

    def fill(text: str) -> Value:
        whole = _TOKEN.fullmatch(text)
        if whole is not None and isinstance(_known(Names())[whole[1]], list):
            # Not a string in a string: the marks around it fall below.
            return f"@@{whole[1]}@@"
        return _TOKEN.sub(lambda match: f"${{{match[1]}}}", text.replace("${", "$${"))

    made = {
        "Version": VERSION,
        "Statement": [_statement(each, document, fill) for each in document.statements],
    }
    return _RAW.sub(lambda match: f"${{jsonencode({match[1]})}}", json.dumps(made, indent=2)) + "\n"


def files(names: Names) -> dict[str, str]:
    """Every generated file: path below this folder, and content."""
    made = {}
    for document in DOCUMENTS:
        made[f"json/{document.name}.json"] = json.dumps(policy(document, names), indent=2) + "\n"
        made[f"terraform/{document.account}/policies/{document.name}.json.tftpl"] = template(document)
    for account in ("service", "customer"):
        made[f"terraform/{account}/optional.tf"] = _optional(account)
    return made


def load_names(path: Path) -> Names:
    """Names from a file.

    Raises:
        SystemExit: a field that is none, of another type or form, or missing.
    """
    try:
        given = json.loads(path.read_text())
        unknown = set(given) - {each.name for each in fields(Names)}
        if unknown:
            raise SystemExit(f"{path}: no fields: {', '.join(sorted(unknown))}")
        if missing := [name for name in REQUIRED if name not in given]:
            raise SystemExit(f"{path}: fields are missing: {', '.join(missing)}")
        return msgspec.convert({"old_cmk_arns": [], **given}, Names)
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise SystemExit(f"{path}: {error}") from error


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description="Generate the AWS policies of Strongroom from their table.")
    parser.add_argument("--names", type=Path, help="JSON file with the names of your installation")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to")
    arguments = parser.parse_args()
    names = load_names(arguments.names) if arguments.names else Names()
    for name, content in files(names).items():
        if arguments.names and not name.startswith("json/"):
            continue  # a module takes names as variables, and is nothing without its other files
        path = arguments.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    if not names.cmk_arns:
        print(
            "cmk_arns is empty: key-broker-tenant and rewrap-tenant may use no CMK until you generate them again"
        )


def _known(names: Names) -> Mapping[str, Value]:
    known: dict[str, Value] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(names).items()
    }
    known["source_arns"] = _whole(names.partition, names.source_buckets)
    known["target_arns"] = _whole(names.partition, names.target_buckets)
    return known


def _whole(partition: str, buckets: tuple[str, ...]) -> list[str]:
    """Buckets and all objects in them."""
    return [f"arn:{partition}:s3:::{bucket}{below}" for bucket in buckets for below in ("", "/*")]


def _statement(row: Statement, document: Document, fill: Fill) -> dict[str, Any]:
    made: dict[str, Any] = {"Sid": row.sid, "Effect": row.effect}
    if document.kind != "role":
        everybody = row.principals == "*"
        made["Principal"] = "*" if everybody else {"AWS": [fill(each) for each in row.principals]}
    made["NotAction" if row.but == "actions" else "Action"] = list(row.actions)
    if document.kind != "trust":
        name = "NotResource" if row.but == "resources" else "Resource"
        made[name] = (
            fill(row.resources) if isinstance(row.resources, str) else [fill(each) for each in row.resources]
        )
    if row.conditions:
        made["Condition"] = {
            operator: {key: _values(value, fill) for key, value in tests.items()}
            for operator, tests in row.conditions.items()
        }
    return made


def _values(value: str | tuple[str, ...], fill: Fill) -> Value:
    return fill(value) if isinstance(value, str) else [str(fill(each)) for each in value]


def _optional(account: str) -> str:
    """Which statements fall out while a list is empty, for Terraform: generated, so that no name is typed twice."""
    needs = {
        each.sid: each.needs
        for document in DOCUMENTS
        if document.account == account
        for each in document.statements
        if each.needs
    }
    width = max(map(len, needs))  # as `terraform fmt` has it
    lines = "".join(f"    {sid:{width}} = length(var.{name}) > 0\n" for sid, name in sorted(needs.items()))
    return f"# Generated from ../../table.py.\nlocals {{\n  present = {{\n{lines}  }}\n}}\n"


if __name__ == "__main__":
    main()
