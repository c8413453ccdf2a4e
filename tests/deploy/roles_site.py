"""An installation on several hosts, as a customer of AWS has it: every role with keys of its own, under the delivered
policies. Repository and delivery area are buckets of a real S3 server, the CMK is in the strict fake of AWS KMS.

All requests to the S3 server go through a proxy that remembers them, and who made them.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from crypto.registry import Registry
from deploy.iam.generate import policy
from deploy.iam.names import Names
from deploy.iam.seaweedfs import bucket_policy, role_policy
from deploy.iam.table import DOCUMENTS
from tests.aws.delivered import Delivered
from tests.aws.policy import Ask, Caller, Policy, Values, allowed
from tests.aws.server import FakeAws
from tests.repository.s3.proxy import Proxy, Request
from tests.s3_server import PARCELS, REPOSITORY, S3Server
from tests.whole.hosts import Host, Site

SERVICE, CUSTOMER = "111122223333", "444455556666"
VAULT = "docs"
SOURCES, VERSIONED, TARGETS = "roles-source", "roles-versions", "roles-target"
"""Buckets of the service's own account: two that are backed up, the second with versions, and one to restore to."""
NAMES = Names(
    service_account=SERVICE,
    customer_account=CUSTOMER,
    repository_bucket=REPOSITORY,
    repository_prefix=f"{VAULT}/",
    delivery_bucket=PARCELS,
    delivery_prefix="parcels/",
    source_buckets=(SOURCES, VERSIONED),
    target_buckets=(TARGETS,),
)
STORE_ROLES = ("backup", "restore", "maintenance", "client")
_MARKS = {
    "repository": (REPOSITORY, "<repository_bucket>"),
    "delivery": (PARCELS, "<delivery_bucket>"),
    "source": (SOURCES, VERSIONED, "<source_arns>"),
    "target": (TARGETS, "<target_arns>"),
}
_KEY = re.compile(r"Credential=AK([A-Z-]+)/")


@dataclass(frozen=True)
class Call:
    """One request to S3, as AWS would judge it."""

    role: str
    action: str
    resource: str
    context: tuple[tuple[str, Values], ...]

    def __str__(self) -> str:
        return f"{self.role}: {self.action} on {self.resource}"

    @property
    def place(self) -> str:
        """What the bucket is for."""
        return place_of(self.resource)


def place_of(resource: str) -> str:
    """What a bucket is for, by an ARN or by the name in the table that stands for ARNs."""
    for place, marks in _MARKS.items():
        if any(mark in resource for mark in marks):
            return place
    raise AssertionError(resource)


def put_policies(s3: S3Server) -> None:
    """The delivered policies, as far as SeaweedFS reads them; makes the buckets that are sources and target."""
    admin = s3.client()
    for bucket in (SOURCES, VERSIONED, TARGETS):
        admin.create_bucket(Bucket=bucket)
    admin.put_bucket_versioning(Bucket=VERSIONED, VersioningConfiguration={"Status": "Enabled"})
    policies = {
        REPOSITORY: bucket_policy("repository-bucket", NAMES),
        PARCELS: bucket_policy("delivery-bucket", NAMES),
        **{bucket: role_policy("backup", "ReadSources", bucket, NAMES) for bucket in (SOURCES, VERSIONED)},
        TARGETS: role_policy("client", "RestoreObjects", TARGETS, NAMES),
    }
    for bucket, made in policies.items():
        admin.put_bucket_policy(Bucket=bucket, Policy=json.dumps(made))


def calls_of(requests: list[Request]) -> list[Call]:
    """What was asked, in AWS's words. An action that a header asks for beside another is one more call."""
    made = []
    for request in requests:
        found = _KEY.search(request.headers.get("authorization", ""))
        assert found is not None, request
        role, context = found[1].lower(), tuple(_context(request).items())
        parts = urlsplit(request.target)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        where = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
        made += [Call(role, action, where, context) for action in _actions(request, bool(key))]
    return made


def _actions(request: Request, on_object: bool) -> list[str]:
    """From the "Required permissions" of each operation in the API reference of Amazon S3."""
    query = parse_qs(urlsplit(request.target).query, keep_blank_values=True)
    method = request.method
    if not on_object:
        return [_on_bucket(request, query)]
    if "tagging" in query:
        assert method == "GET", request
        return ["s3:GetObjectVersionTagging" if "versionId" in query else "s3:GetObjectTagging"]
    if "retention" in query:
        return ["s3:PutObjectRetention" if method == "PUT" else "s3:GetObjectRetention"]
    if method == "DELETE":
        return ["s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"]
    if method == "GET" and "uploadId" in query:
        return ["s3:ListMultipartUploadParts"]
    if method in {"GET", "HEAD"}:
        return ["s3:GetObjectVersion" if "versionId" in query else "s3:GetObject"]
    return _writing(request)


def _on_bucket(request: Request, query: dict[str, list[str]]) -> str:
    if "object-lock" in query:
        return "s3:GetBucketObjectLockConfiguration"
    if "uploads" in query:
        return "s3:ListBucketMultipartUploads"
    assert request.method == "GET", request
    if "versions" in query:
        return "s3:ListBucketVersions"
    assert query["list-type"] == ["2"], request
    return "s3:ListBucket"


def _writing(request: Request) -> list[str]:
    assert request.method in {"PUT", "POST"}, request
    beside = {"x-amz-object-lock-mode": "s3:PutObjectRetention", "x-amz-tagging": "s3:PutObjectTagging"}
    return ["s3:PutObject", *(action for header, action in beside.items() if header in request.headers)]


def _context(request: Request) -> dict[str, Values]:
    query = parse_qs(urlsplit(request.target).query, keep_blank_values=True)
    context: dict[str, Values] = {}
    if "prefix" in query:
        context["s3:prefix"] = (query["prefix"][0],)
    if request.method in {"PUT", "POST"}:
        creates = "uploads" not in query and "partNumber" not in query
        context["s3:objectcreationoperation"] = ("true" if creates else "false",)
    if "x-amz-object-lock-mode" in request.headers:
        until = datetime.fromisoformat(request.headers["x-amz-object-lock-retain-until-date"])
        context["s3:object-lock-mode"] = (request.headers["x-amz-object-lock-mode"],)
        days = (until - datetime.now(UTC)) / timedelta(days=1)
        context["s3:object-lock-remaining-retention-days"] = (str(ceil(days)),)
    if "if-none-match" in request.headers:
        context["s3:if-none-match"] = (request.headers["if-none-match"],)
    return context


def document(name: str) -> dict[str, Any]:
    """A delivered document with the names of this installation."""
    return policy(next(each for each in DOCUMENTS if each.name == name), NAMES)


def is_allowed(call: Call) -> bool:
    """Whether AWS would let it through under the delivered policies, service and customer in accounts apart.

    Sources and target are in the service's account, where the role's own policy decides.
    """
    arn = f"arn:aws:iam::{SERVICE}:role/strongroom-{call.role}"
    caller = Caller(SERVICE, arn, arn, (Policy.identity(document(call.role)),))
    ask = Ask(call.action, call.resource, dict(call.context))
    if call.place in ("source", "target"):
        return allowed(caller, ask, None, SERVICE)
    return allowed(caller, ask, Policy.resource(document(f"{call.place}-bucket")), CUSTOMER)


class RolesSite:
    """Built and running. `close` ends the fake; the site's roles are stopped by whoever has its broker.

    Args:
        site: its broker is up.
        s3: the server, with the policies of `put_policies`.
        proxy: in front of it.
        tls: the authority, and certificate and key of the fake of AWS.
    """

    def __init__(self, site: Site, s3: S3Server, proxy: Proxy, tls: tuple[Path, Path, Path]) -> None:
        self.site, self.s3, self.proxy, self.ca = site, s3, proxy, tls[0]
        self.aws = FakeAws((tls[1], tls[2]))
        tenant = Registry.decode((site.admin.home / "registry.json").read_bytes()).tenant
        self.delivered = Delivered(self.aws, tenant)
        options = {"endpoint": proxy.endpoint, "region": "us-east-1"}
        self.repo = (
            f"s3://{REPOSITORY}/{VAULT}?{urlencode(options | {'lock': 'governance', 'retention': '2h'})}"
        )
        self._options = urlencode(options)
        self.area = self.bucket(PARCELS, "parcels")
        settings = self.delivered.settings()
        reached = {
            "endpoint": settings["aws_endpoint"],
            "sts-endpoint": settings["aws_sts_endpoint"],
            "role": settings["aws_role"],
            "external-id": settings["aws_external_id"],
            "ca": str(tls[0]),
        }
        self.kms = f"aws-kms://{self.delivered.a.key.arn}?{urlencode(reached, safe=':/')}"
        self.hosts = self._hosts()
        self._start()
        self.client = self.hosts["client"]
        self.client.run("vault", "create", VAULT, "--repo", self.repo, "--kms", self.kms)

    def bucket(self, name: str, prefix: str) -> str:
        """URI of a place on the server, by way of the proxy."""
        return f"s3://{name}/{prefix}?{self._options}"

    def close(self) -> None:
        """End the fake of AWS."""
        self.aws.close()

    def calls(self) -> list[Call]:
        """The requests to S3 so far."""
        return calls_of(list(self.proxy.seen))

    def _hosts(self) -> dict[str, Host]:
        site, areas = self.site, f'[delivery]\nareas = ["{self.area}"]\n'
        hosts = {
            "scheduler": site.host("scheduler", "scheduler"),
            "backup": site.host("backup", "backup"),
            "restore": site.host("restore", "restore", settings=areas),
            "maintenance": site.host("maintenance", "maintenance"),
            "client": site.host("client", "client", settings=f'[delivery]\narea = "{self.area}"\n'),
        }
        broker = site.host("key-broker", "key-broker")
        for name in ("ca.crt", "tls.crt", "tls.key", "password"):
            shutil.copy(broker.home / name, site.admin.home / name)
        site.configure(site.admin)
        for role in STORE_ROLES:
            keys = (
                f"[default]\naws_access_key_id = AK{role.upper()}\naws_secret_access_key = secret-of-{role}\n"
            )
            _give(hosts[role], keys)
        _give(hosts["scheduler"], "")
        given = self.delivered.host("key-broker").boto().items()
        _give(site.admin, "[default]\n" + "".join(f"{name} = {value}\n" for name, value in given))
        for name, host in hosts.items():
            site.enrol(host, "operator" if name == "client" else name)
        site.enrol(site.admin, "key-broker")
        site.admin.run("vault", "add", VAULT, "--repo", self.repo, "--kms", self.kms)
        site.spread_registry(*hosts.values())
        return hosts

    def _start(self) -> None:
        site = self.site
        site.start(site.admin, "key-broker")
        site.start(site.host("beat", "beat"), "beat")
        for role in ("scheduler", "backup", "restore", "maintenance"):
            words = ("--concurrency", "1") if role in {"backup", "restore"} else ()
            site.start(self.hosts[role], role, *words)
        for running in site.running.values():
            running.wait_ready()


def _give(host: Host, credentials: str) -> None:
    """AWS's libraries find these in the host's processes, and nothing else."""
    file = host.home / "aws-credentials"
    file.write_text(credentials)
    host.variables |= {
        "AWS_SHARED_CREDENTIALS_FILE": str(file),
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
