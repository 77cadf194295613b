"""The TLS contexts, from the paths that the settings name."""

from __future__ import annotations

import ssl

from enterprise_gateway.config.server import ServerTraits
from persistence.errors import ConfigurationError

# The numbers of ssl.PROTOCOL_TLS, PROTOCOL_TLS_CLIENT and PROTOCOL_TLS_SERVER: the highest that both sides know.
NEGOTIATED = (None, 2, 16, 17)
ONLY_TLS_1_2 = 5


def server_context(settings: ServerTraits) -> ssl.SSLContext | None:
    """Return the context to listen with; None without a certificate, for plain HTTP.

    Raises:
        ConfigurationError: A file can't be read or does not fit, or the protocol is too old.
    """
    if not settings.certfile:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ssl_version == ONLY_TLS_1_2:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    elif settings.ssl_version not in NEGOTIATED:
        raise ConfigurationError(
            f"ssl_version {settings.ssl_version} is a protocol older than TLS 1.2; leave it unset."
        )
    try:
        context.load_cert_chain(settings.certfile, settings.keyfile)
        if settings.client_ca:
            context.load_verify_locations(cafile=settings.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # ssl.SSLError is one too
        raise ConfigurationError(f"TLS can't be set up from {_paths(settings)}: {error}") from error
    return context


def peer_context(settings: ServerTraits) -> ssl.SSLContext | None:
    """Return the context to ask other replicas with; None where they speak plain HTTP.

    Their certificates are not checked, since they need not be for the names under which replicas know each other: what
    is said is sealed by itself. This replica shows its own, for those that ask for one (`client_ca`).
    """
    if not settings.certfile:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(settings.certfile, settings.keyfile)
    return context


def _paths(settings: ServerTraits) -> str:
    given = {"certfile": settings.certfile, "keyfile": settings.keyfile, "client_ca": settings.client_ca}
    return ", ".join(f"{name} {path}" for name, path in given.items() if path)
