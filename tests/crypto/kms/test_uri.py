import pytest

from crypto.kms.errors import KeyNotFound, UnsupportedKms
from crypto.kms.keystore import Keystore
from crypto.kms.provider import KeyState
from crypto.kms.uri import Backends, open_provider

TENANT = bytes(16)


def test_local_uri_opens_the_named_key(keystore: Keystore) -> None:
    assert open_provider("local-kms://main", TENANT, Backends(keystore)).describe().state is KeyState.ENABLED


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("aws-kms://arn:aws:kms:eu-west-1:1:key/x", "by its ARN"),
        ("gcp-kms://x", "unknown scheme"),
        ("main", "no scheme"),
        ("", "no scheme"),
        ("local-kms:main", "no scheme"),
        ("x" * 3000 + "://", "no scheme"),
    ],
)
def test_other_uris_are_refused_with_a_reason(keystore: Keystore, uri: str, says: str) -> None:
    with pytest.raises(UnsupportedKms, match=says):
        open_provider(uri, TENANT, Backends(keystore))


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\0b"])
def test_bad_names_are_refused(keystore: Keystore, name: str) -> None:
    with pytest.raises(KeyNotFound):
        open_provider(f"local-kms://{name}", TENANT, Backends(keystore))
