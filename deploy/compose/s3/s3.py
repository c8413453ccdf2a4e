"""The local S3 of docker-compose.yml: who may ask it (`keys`, once), and its buckets with their policies (`buckets`).

Runs in the image. A user for each role that has to do with a store, each with keys of its own; what each may do is in
the buckets' policies beside this file, which `deploy/iam/seaweedfs.py` makes from the table of the AWS policies.
"""

import json
import secrets
import sys
import time
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

ROLES = ("backup", "restore", "maintenance", "client")
ENDPOINT = "https://s3:8333"
CA = "/run/secrets/ca.crt"
READY_S = 60.0


def make_keys(folder: Path) -> None:
    """Write `identities.json` for the server, and for each user a credentials file as AWS's libraries read it."""
    folder.mkdir(mode=0o700, parents=True)
    identities = []
    for name in ("admin", *ROLES):
        key, secret = secrets.token_hex(10).upper(), secrets.token_urlsafe(30)
        (folder / f"{name}.credentials").write_text(
            f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        )
        identities.append(
            {
                "name": name,
                "credentials": [{"accessKey": key, "secretKey": secret}],
                "actions": ["Admin"] if name == "admin" else [],
            }
        )
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))


def make_buckets(policies: Path) -> None:
    """Make each bucket that has a policy here, and put the policy. As the administrator, over TLS."""
    client = boto3.client("s3", endpoint_url=ENDPOINT, verify=CA, region_name="us-east-1")
    deadline = time.monotonic() + READY_S
    for file in sorted(policies.glob("*.json")):
        while True:
            try:
                client.create_bucket(Bucket=file.stem)
            except ClientError as error:
                if not error.response["Error"]["Code"].startswith("BucketAlready"):
                    raise
            except BotoCoreError:
                # The server takes some seconds to come up.
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)
                continue
            break
        client.put_bucket_policy(Bucket=file.stem, Policy=file.read_text())
        print(f"bucket {file.stem}")


if __name__ == "__main__":
    if sys.argv[1] == "keys":
        make_keys(Path(sys.argv[2]))
    else:
        make_buckets(Path(__file__).parent)
