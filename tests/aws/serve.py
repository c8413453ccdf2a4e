"""The fake as a service of its own, for `make compose-test`: KMS and STS over TLS, under the delivered policies.

    python -m tests.aws.serve --address 0.0.0.0 --port 8443 --tls CERTIFICATE KEY --out FOLDER TENANT

Makes the customer's CMK and the service's roles, and writes `credentials` (what the key-broker's host has, as AWS's
libraries read it) and `uri` (the CMK as a vault names it) into FOLDER. Each request is told in a line on standard
output, as CloudTrail would have it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlencode

from tests.aws.delivered import Delivered
from tests.aws.iam import Credentials
from tests.aws.server import FakeAws


def main() -> None:
    """Serve until it is ended."""
    parser = argparse.ArgumentParser(description="The strict fake of AWS KMS and STS, over TLS.")
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls", nargs=2, type=Path, required=True, metavar=("CERTIFICATE", "KEY"))
    parser.add_argument("--endpoint", required=True, help="URL under which it is reached")
    parser.add_argument("--ca", required=True, help="file with the CA, where the key-broker runs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("tenant", help="32 hex digits")
    options = parser.parse_args()
    aws = FakeAws(tuple(options.tls), options.address, options.port)
    delivered = Delivered(aws, bytes.fromhex(options.tenant))
    (options.out / "credentials").write_text(_profile(delivered.host("key-broker")))
    settings = delivered.settings()
    query = {
        "endpoint": options.endpoint,
        "sts-endpoint": options.endpoint,
        "role": settings["aws_role"],
        "external-id": settings["aws_external_id"],
        "ca": options.ca,
    }
    (options.out / "uri").write_text(f"aws-kms://{delivered.a.key.arn}?{urlencode(query, safe=':/')}\n")
    told = 0
    while True:
        for event in aws.events[told:]:
            sys.stdout.write(f"{json.dumps(asdict(event))}\n")
            told += 1
        sys.stdout.flush()
        time.sleep(0.2)


def _profile(credentials: Credentials) -> str:
    return "[default]\n" + "".join(f"{name} = {value}\n" for name, value in credentials.boto().items())


if __name__ == "__main__":
    main()
