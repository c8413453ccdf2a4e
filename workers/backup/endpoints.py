"""Which servers a worker asks for objects to back up: with its own credentials, so not any that a requester names."""

from collections.abc import Sequence

from config.errors import StrongroomError
from config.settings import Settings
from repository.place import S3Place, parse_place
from sources.s3.place import parse


class EndpointRefused(StrongroomError):
    """A path to back up is on a server that this worker does not ask."""


def require_endpoints(uris: Sequence[str], repo: str, settings: Settings) -> None:
    """Refuse buckets on servers other than AWS, the vault's own and those that this host's settings name.

    Without a broker of its own there is nothing to refuse: then whoever asks is the user that the worker runs as.

    Args:
        uris: `s3://bucket/prefix?options`.
        repo: the vault's URI, which an administrator gave.
        settings: of this host.

    Raises:
        EndpointRefused: before anything is sent there.
        StrongroomError: a URI names nothing.
    """
    if not settings.broker.url:
        return
    place = parse_place(repo)
    known = {each.rstrip("/") for each in settings.store.source_endpoints}
    known |= {"", place.endpoint if isinstance(place, S3Place) else ""}
    for uri in uris:
        endpoint = parse(uri).place.endpoint
        if endpoint not in known:
            raise EndpointRefused(
                f"{endpoint} is no server that this host's workers ask for objects",
                remedy="name it in source_endpoints, section [store] of the backup workers' settings",
            )
