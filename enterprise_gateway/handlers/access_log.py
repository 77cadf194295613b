"""The access log: one line a request, with no token in it."""

from __future__ import annotations

import logging
from urllib.parse import unquote_plus

from tornado.web import RequestHandler

log = logging.getLogger(__name__)


def log_request(handler: RequestHandler) -> None:
    """Write the line of an answered request; the `log_function` of the application.

    Answers below 400 at INFO, up to 499 at WARNING, others at ERROR. A handler may be `quiet` (probes): then what is
    well is told at DEBUG only.
    """
    status = handler.get_status()
    request = handler.request
    log.log(
        _level(status, quiet=getattr(handler, "quiet", False)),
        "%d %s %s (%s) %.2fms",
        status,
        request.method,
        without_tokens(request.uri or ""),
        request.remote_ip,
        1000.0 * request.request_time(),
    )


def without_tokens(uri: str) -> str:
    """Return the address with the value of every `token` argument replaced, however its name is written."""
    path, mark, query = uri.partition("?")
    return path + mark + "&".join(_hidden(part) for part in query.split("&"))


def _hidden(argument: str) -> str:
    name, mark, _ = argument.partition("=")
    return f"{name}{mark}[secret]" if mark and unquote_plus(name).strip().lower() == "token" else argument


def _level(status: int, *, quiet: bool) -> int:
    if status < 400:
        return logging.DEBUG if quiet else logging.INFO
    return logging.WARNING if status < 500 else logging.ERROR
