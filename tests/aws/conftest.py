from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.aws.iam import Credentials
from tests.aws.server import FakeAws

REGION = "eu-central-1"


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    made = FakeAws()
    yield made
    made.close()


@pytest.fixture(scope="session")
def boto() -> Any:
    """Makes a real client of a fake: `boto(aws, credentials, service="kms", region=...)`."""
    session = boto3.session.Session()
    config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})

    def make(aws: FakeAws, credentials: Credentials, service: str = "kms", region: str = REGION) -> Any:
        return session.client(
            service, region_name=region, endpoint_url=aws.url, config=config, **credentials.boto()
        )

    return make
