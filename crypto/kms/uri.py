"""From a KMS URI to its provider: `local-kms://NAME` or `aws-kms://ARN`."""

from __future__ import annotations

from dataclasses import dataclass, field

from crypto.kms.aws import AwsKms
from crypto.kms.aws_session import AwsSessions
from crypto.kms.aws_uri import AwsOptions, parse_aws_uri
from crypto.kms.errors import UnsupportedKms
from crypto.kms.keystore import Keystore
from crypto.kms.local import LocalKms
from crypto.kms.provider import KmsProvider

LOCAL = "local-kms"
AWS = "aws-kms"
MAX_URI_CHARS = 2048


@dataclass(frozen=True, slots=True)
class Backends:
    """What the providers of a key-broker stand on.

    Attributes:
        keystore: where `local-kms` keys are.
        aws: how AWS is reached, where a URI does not say otherwise.
        sessions: with AWS; none is begun before it is needed.
    """

    keystore: Keystore
    aws: AwsOptions = field(default_factory=AwsOptions)
    sessions: AwsSessions = field(default_factory=AwsSessions)


def open_provider(uri: str, tenant: bytes, backends: Backends) -> KmsProvider:
    """The provider of the CMK that `uri` names. Calls nothing yet: a missing key shows at the first use.

    Args:
        uri: `local-kms://NAME` or `aws-kms://ARN?options`.
        tenant: 16 bytes; on whose authority the CMK will be used: the ticket's tenant.
        backends: of this key-broker.

    Raises:
        UnsupportedKms: a scheme of no KMS, or a URI that is none of its scheme.
        KeyNotFound: NAME cannot be the name of a CMK.
    """
    scheme, separator, name = uri.partition("://")
    if not separator or len(uri) > MAX_URI_CHARS:
        raise UnsupportedKms("the KMS URI has no scheme")
    if scheme == LOCAL:
        return LocalKms(backends.keystore, name)
    if scheme == AWS:
        return AwsKms(parse_aws_uri(uri, backends.aws), tenant, backends.sessions)
    raise UnsupportedKms("the KMS URI has an unknown scheme")
