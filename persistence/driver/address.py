"""Database URIs: which are known, and how they are shown without their secrets. Pure."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from persistence.errors import ConfigurationError

MOCK = "mongomock"
SCHEMES = ("mongodb", "mongodb+srv", MOCK)

_HIDDEN = "***"
# A password that was not percent-encoded may hold an "@" or a "/": hide too much rather than too little.
_USERINFO = re.compile(r"(?<=://).*@", re.DOTALL)
_SECRET_OPTIONS = ("tlscertificatekeyfilepassword", "authmechanismproperties")


def scheme(uri: str) -> str:
    """Give what stands before `://`."""
    return uri.partition("://")[0].lower() if "://" in uri else ""


def check_uri(uri: str) -> None:
    """Check that this is a database URI.

    Raises:
        ConfigurationError: It is not. Its text never shows the URI, which may hold a password.
    """
    if scheme(uri) not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise ConfigurationError(f"mongodb_uri must begin with one of {known}")


def shown(uri: str) -> str:
    """Give scheme, hosts and database of a URI: what may be logged. User, password and options are left out."""
    bare = _USERINFO.sub("", uri).partition("?")[0]
    return unquote(bare.rstrip("/"))


def option_names(uri: str) -> set[str]:
    """Name the options that the URI sets, in lower case."""
    return {name.lower() for name, _ in parse_qsl(uri.partition("?")[2], keep_blank_values=True)}


def without_secrets(text: str, uri: str) -> str:
    """Hide what is secret in `uri` wherever it stands in `text`, for a driver's own messages."""
    for secret in sorted(_secrets(uri), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def _secrets(uri: str) -> set[str]:
    userinfo = _USERINFO.search(uri)
    found = {userinfo.group()[:-1].partition(":")[2]} if userinfo else set()
    options = (option.partition("=") for option in uri.partition("?")[2].split("&"))  # as written: not decoded yet
    found |= {value for name, _, value in options if name.lower() in _SECRET_OPTIONS}
    return {text for secret in found for text in (secret, unquote(secret)) if text}


def mock_server(uri: str) -> str:
    """Name the server that a `mongomock://` URI means; empty: one that is shared with nobody."""
    return urlsplit(uri).netloc
