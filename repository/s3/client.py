"""Connections to S3: one client for an endpoint in each process, made when the first request is.

A client must not be shared with a process forked later (its sockets would be), so it belongs to a process id. Making
one costs a tenth of a second, so it is kept from task to task.
"""

import logging
import os
import threading
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import NoCredentialsError
from botocore.session import get_session
from botocore.utils import parse_timestamp

from config.answers import Bounds, bound
from config.settings import StoreSettings
from repository.errors import StoreDenied
from repository.place import S3Place
from repository.s3.errors import translated

_LIBRARIES: Final = ("boto3", "botocore", "s3transfer", "urllib3")
# Credentials for the store alone: those of AWS_* in the environment may be the KMS's, which no worker may have.
_CREDENTIALS: Final = (
    ("aws_access_key_id", "STRONGROOM_S3_ACCESS_KEY_ID"),
    ("aws_secret_access_key", "STRONGROOM_S3_SECRET_ACCESS_KEY"),
    ("aws_session_token", "STRONGROOM_S3_SESSION_TOKEN"),
)
_MAX_CLIENTS: Final = 8
MAX_ANSWER: Final = 4 << 20
"""Bytes of an answer that is parsed: a thousand keys of 1024 bytes, each written as %XX, and what goes with them."""
COMPLETING_S: Final = 600.0
"""How much longer the end of an upload in parts may take: S3 sends spaces for minutes while it joins large ones."""
_making = threading.Lock()  # sessions are not safe for threads; clients are


class _Way(NamedTuple):
    """What of a place a client depends on."""

    endpoint: str
    region: str
    profile: str
    addressing: str
    ca: str


def client_of(place: S3Place, settings: StoreSettings) -> Any:
    """The client of this process for a place.

    Raises:
        StoreDenied: there are no credentials, or no such profile.
        StoreMissing: the region is none.
    """
    way = _Way(place.endpoint, place.region, place.profile, place.addressing, place.ca)
    with _making, translated("connecting", place, forget_clients):
        return _client(way, settings, os.getpid())


def forget_clients() -> None:
    """Make new clients for the next requests, with the credentials that are in place then."""
    _client.cache_clear()


@lru_cache(maxsize=_MAX_CLIENTS)
def _client(way: _Way, settings: StoreSettings, process: int) -> Any:
    for name in _LIBRARIES:
        # They log names of buckets and of objects; what matters is in the errors that they raise.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    given = {argument: os.environ[name] for argument, name in _CREDENTIALS if os.environ.get(name)}
    if way.ca and not os.path.isfile(way.ca):
        raise StoreDenied(f"there is no file {way.ca} with authorities", remedy="check ca in the URI")
    library = get_session()
    library.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=moment)
    session = boto3.Session(
        botocore_session=library,
        profile_name=way.profile or None,
        region_name=way.region or None,
        **({} if way.profile else given),
    )
    if session.get_credentials() is None:
        raise NoCredentialsError
    client = session.client(
        "s3",
        endpoint_url=way.endpoint or None,
        verify=way.ca or None,
        config=Config(
            connect_timeout=settings.connect_timeout_s,
            read_timeout=settings.read_timeout_s,
            # Once: `repository.retry` tries again, within one deadline and with one table of what may be.
            retries={"total_max_attempts": 1, "mode": "standard"},
            # An endpoint in the environment or a profile has not passed the checks of a URI: it may be http://.
            ignore_configured_endpoint_urls=True,
            max_pool_connections=2 * settings.parallel,
            tcp_keepalive=True,
            # We give each request its checksum ourselves; what is read is sealed and proves itself.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": way.addressing or ("path" if way.endpoint else "auto")},
            user_agent_extra="strongroom",
        ),
    )
    client.meta.events.register("before-call.s3.HeadBucket", _is_not_redirected)
    client.meta.events.register("before-parse.s3", _refuse_declarations)
    bound(client, Bounds(MAX_ANSWER, _more_s))
    return client


def _more_s(method: str, target: str) -> float:
    return COMPLETING_S if method == "POST" and "uploadId=" in target else 0.0


def _is_not_redirected(context: dict[str, Any], **_: Any) -> None:
    """Ask for a bucket's region, as botocore does for an answer that redirects, but once: not again for its answer."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _refuse_declarations(response_dict: dict[str, Any], **_: Any) -> None:
    """S3 declares no types and entities, by which a small answer becomes a large one."""
    body = response_dict["body"]
    if isinstance(body, bytes) and (b"<!DOCTYPE" in body or b"<!ENTITY" in body):
        raise ValueError("an answer has declarations")


def moment(text: str) -> datetime:
    """A time as S3 writes it. botocore's way, which reads any format, is three quarters of what a listing costs."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        found: datetime = parse_timestamp(text)
        return found
