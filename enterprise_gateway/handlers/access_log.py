"""The access log: one line a request, with no token in it.

What was only read is told at DEBUG: some hundred clients that poll would hide everything else. What changed something
is told at INFO. A failure says why, and whose request it was.
"""

from __future__ import annotations

import logging
import re
from urllib.parse import unquote_plus

from tornado.web import RequestHandler

log = logging.getLogger(__name__)

_READING = ("GET", "HEAD", "OPTIONS")
_MAX_REMARK_CHARS = 500
_PARTING = re.compile("([&;?#])")


def log_request(handler: RequestHandler) -> None:
    """Write the line of an answered request; the `log_function` of the application.

    Answers below 400 at DEBUG or INFO; refusals at WARNING, and 503 too: what has made it so is told elsewhere, once.
    Other faults at ERROR. A handler may have an `about` (whose request it is) and a `remark` (what came of it).
    """
    status = handler.get_status()
    request = handler.request
    level = _level(status, request.method or "")
    if not log.isEnabledFor(level):
        return
    log.log(
        level,
        "%d %s %s (%s) %.2fms%s%s",
        status,
        request.method,
        without_tokens(request.uri or ""),
        request.remote_ip,
        1000.0 * request.request_time(),
        _part(" for ", getattr(handler, "about", "")),
        _part(": ", getattr(handler, "remark", "")),
    )


def without_tokens(uri: str) -> str:
    """Return the address with the value of every `token` argument replaced, however its name is written."""
    # Not `&` alone parts them: whatever somebody mistakes for it, a token behind it is hidden.
    path, mark, query = uri.partition("?")
    return path + mark + "".join(_hidden(part) for part in _PARTING.split(query))


def one_line(text: str) -> str:
    """Make text that others may have chosen fit for a line of a log: nothing in it ends the line or moves a cursor."""
    shown = "".join(c if c.isprintable() else " " for c in text[:_MAX_REMARK_CHARS])
    return " ".join(shown.split()) + ("…" if len(text) > _MAX_REMARK_CHARS else "")


def _part(mark: str, text: str) -> str:
    return mark + one_line(text) if text else ""


def _hidden(argument: str) -> str:
    name, mark, _ = argument.partition("=")
    return f"{name}{mark}[secret]" if mark and unquote_plus(name).strip().lower() == "token" else argument


def _level(status: int, method: str) -> int:
    if status < 400:
        return logging.DEBUG if method in _READING else logging.INFO
    return logging.WARNING if status < 500 or status == 503 else logging.ERROR
