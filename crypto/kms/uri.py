"""From a KMS URI to its provider: `local-kms://NAME`, and `aws-kms://ARN` in another release."""

from __future__ import annotations

from crypto.kms.errors import UnsupportedKms
from crypto.kms.keystore import Keystore
from crypto.kms.local import LocalKms
from crypto.kms.provider import KmsProvider

LOCAL = "local-kms"
AWS = "aws-kms"
MAX_URI_CHARS = 2048


def open_provider(uri: str, keystore: Keystore) -> KmsProvider:
    """The provider of the CMK that `uri` names. Calls nothing yet: a missing key shows at the first use.

    Args:
        uri: `local-kms://NAME`.
        keystore: where `local-kms` keys are.

    Raises:
        UnsupportedKms: a scheme of no KMS, or of one that this release does not have.
        KeyNotFound: NAME cannot be the name of a CMK.
    """
    scheme, separator, name = uri.partition("://")
    if not separator or len(uri) > MAX_URI_CHARS:
        raise UnsupportedKms("the KMS URI has no scheme")
    if scheme == LOCAL:
        return LocalKms(keystore, name)
    if scheme == AWS:
        raise UnsupportedKms("aws-kms:// comes in another release", remedy="use local-kms://NAME until then")
    raise UnsupportedKms("the KMS URI has an unknown scheme")
