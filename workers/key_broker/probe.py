"""`python -m workers.key_broker.probe aws-kms://ARN`: would AWS let this key-broker use that CMK? No key is made.

Run it on the key-broker's host, as its user and with its settings, before the first vault is made: it goes the same
way as the key-broker (credentials, role, session tag, endpoint, CA bundle, policies).
"""

from __future__ import annotations

import os
import sys

import click

from config.errors import StrongroomError
from config.home import Home
from config.settings import load
from crypto.keyrecord import DEK, encryption_context
from crypto.kms.aws import AwsKms
from crypto.kms.aws_session import AwsSessions
from crypto.kms.aws_uri import parse_aws_uri
from workers.key_broker.build import aws_options
from workers.process import RegistryFile


@click.command(
    epilog="Example: python -m workers.key_broker.probe aws-kms://arn:aws:kms:eu-central-1:...:key/..."
)
@click.argument("uri")
@click.option("--tenant", help="Its id, 32 hex digits (default: the tenant of this home).")
def main(uri: str, tenant: str | None) -> None:
    """Ask AWS whether the key-broker could make a data key under the CMK that URI names."""
    try:
        home = Home.from_env()
        owner = bytes.fromhex(tenant) if tenant else RegistryFile(home.registry_file).current().tenant
        provider = AwsKms(parse_aws_uri(uri, aws_options(load(home).kms)), owner, AwsSessions())
        provider.create_missing()
        provider.probe(encryption_context(owner, os.urandom(16), DEK, 1))
        state = provider.describe()
    except (StrongroomError, ValueError) as error:
        text = error.message if isinstance(error, StrongroomError) else "a tenant id has 32 hex digits"
        click.echo(f"no: {text}", err=True)
        if isinstance(error, StrongroomError) and error.remedy:
            click.echo(f"  -> {error.remedy}", err=True)
        sys.exit(1)
    click.echo(f"yes: the key is {state.state.value} and may be used for tenant {owner.hex()}")


if __name__ == "__main__":
    main()
