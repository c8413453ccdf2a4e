"""What a broker's refusal means, and what to do about it: the same words for roles and for commands."""

from typing import Final, NamedTuple

_ALERT: Final = "ALERT"
"""In the reasons of OpenSSL: the other side has said what it does not like, and that is our certificate."""
_MISMATCH: Final = "KEY_VALUES_MISMATCH"


class Trouble(NamedTuple):
    """A sentence, and a remedy."""

    message: str
    remedy: str


NO_LOGIN: Final = Trouble(
    "the message broker refuses this user or its password",
    "check broker.user and broker.password_file in config.toml; the broker has the users of the users.acl that was "
    "carried to it, and reads it when it is started",
)
NO_RIGHT: Final = Trouble(
    "the message broker does not let this user do that",
    "check broker.user in config.toml; if its users were made by another release, run `strongroom acl` again, carry "
    "users.acl to the broker and restart it",
)


def tls_trouble(error: BaseException | None) -> Trouble | None:
    """Why broker and client do not believe each other; None when that is not what went wrong."""
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return Trouble(
                f"no TLS with the message broker: certificate verify failed: {error.verify_message}",
                "check broker.ca_file, and that the broker's certificate names the host in broker.url",
            )
        # Only errors of OpenSSL itself have a reason, and not those that Python's own code makes.
        reason = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
        if reason and _is_about_us(reason):
            return Trouble(
                f"no TLS with the message broker: the client's certificate or key is not accepted ({reason})",
                "check broker.cert_file and broker.key_file: they belong together, and the certificate is valid and of "
                "the CA that the broker believes",
            )
        error = error.__cause__ or error.__context__
    return None


def _is_about_us(reason: str) -> bool:
    return reason == _MISMATCH or _ALERT in reason
