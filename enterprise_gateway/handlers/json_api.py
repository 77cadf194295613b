"""The base of handlers that take and give JSON: bodies with a type and a limit, answers, withdrawal."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from tornado.httputil import HTTPServerRequest

from enterprise_gateway.errors import GatewayError, missing
from enterprise_gateway.handlers.base import StreamedHandler
from enterprise_gateway.handlers.bodies import Json, parse_json, wrong_content_type

T = TypeVar("T")

# More than this is not even read to its end: the answer goes out at once and the connection is closed.
DRAIN_LIMIT_BYTES = 64 << 20
# What nginx logs for a client that went away; nobody receives it.
CLIENT_CLOSED_REQUEST = 499


class ApiHandler(StreamedHandler):
    """Takes and gives JSON.

    A request is read to its end before a refusal is answered, its body thrown away: an answer that comes before the end
    closes the connection, and says so. The client's next request on it would be lost, and with unread bytes that answer
    too. Of one without an end so much is read.
    """

    def __init__(self, application: Any, request: HTTPServerRequest, **kwargs: Any) -> None:
        super().__init__(application, request, **kwargs)
        self._chunks = bytearray()
        self._refusal: GatewayError | None = None
        self._thrown_away = 0
        self._gone = False
        self._withdrawable: asyncio.Task[Any] | None = None

    async def prepare(self) -> None:
        """Check as the base does; a refusal is kept until the request has been read."""
        try:
            await super().prepare()
            self._check_length()
        except GatewayError as error:
            if not self._drainable:
                raise
            self._refuse(error)

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body, if it is of the right type and within the limit."""
        if self._refusal is not None:
            self._throw_away(chunk, self._refusal)
        elif not self.gateway.auth.required and wrong_content_type(self.request.headers.get("Content-Type")):
            self._refuse(_wrong_type())
        elif len(self._chunks) + len(chunk) > self.gateway.options.max_body_bytes:
            self._refuse(self._too_large())
        else:
            self._chunks += chunk

    def json_body(self) -> Json:
        """Return the parsed body; None if there is none.

        Raises:
            GatewayError: 400, it is no JSON.
        """
        return parse_json(bytes(self._chunks))

    def reply(self, model: Any, *, status: int = 200, location: str | None = None) -> None:
        """Answer with `model` as JSON."""
        self.set_status(status)
        if location is not None:
            self.set_header("Location", location)
        self.finish(json.dumps(model))

    async def until_gone(self, work: Coroutine[Any, Any, T], *, withdraw: bool) -> T:
        """Do `work`; with `withdraw`, cancel it when the client closes its connection before the answer."""
        if self._gone and withdraw:
            work.close()
            raise _client_gone()
        task = asyncio.ensure_future(work)
        self._withdrawable = task if withdraw else None
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._gone and current is not None and not current.cancelling():
                raise _client_gone() from None  # it was `on_connection_close` that cancelled the work, not this handler
            raise
        finally:
            self._withdrawable = None

    def on_connection_close(self) -> None:
        """Withdraw what the client no longer waits for."""
        super().on_connection_close()
        self._gone = True
        if self._withdrawable is not None:
            self._withdrawable.cancel()

    def _check_length(self) -> None:
        if self._declared_length > self.gateway.options.max_body_bytes:
            raise self._too_large()

    @property
    def _declared_length(self) -> int:
        text = self.request.headers.get("Content-Length", "0")
        if not (text.isascii() and text.isdecimal()):
            return 0
        return int(text) if len(text) < 20 else sys.maxsize  # Python itself refuses to read thousands of digits

    @property
    def _drainable(self) -> bool:
        # Who says `Expect` has not sent the body yet, and won't when he gets an answer.
        promised = "Expect" in self.request.headers or self._declared_length > DRAIN_LIMIT_BYTES
        return not promised and self._method_known  # whose name is set below

    def _throw_away(self, chunk: bytes, refusal: GatewayError) -> None:
        self._thrown_away += len(chunk)
        if self._thrown_away > DRAIN_LIMIT_BYTES and not self._finished:
            self.send_error(refusal.status, exc_info=(GatewayError, refusal, None))

    def _too_large(self) -> GatewayError:
        limit = self.gateway.options.max_body_bytes
        return GatewayError(
            413, "Request Entity Too Large", f"The body is longer than this gateway's limit of {limit} bytes."
        )

    def _refuse(self, error: GatewayError) -> None:
        """Let the method that tornado calls after the body raise `error`."""
        self._refusal = error
        self._chunks.clear()
        setattr(self, (self.request.method or "get").lower(), self._raise_refusal)

    async def _raise_refusal(self, *_: str, **__: str) -> None:
        if self._refusal is not None:
            raise self._refusal


class NotFoundHandler(ApiHandler):
    """Answers every address that no route knows; only to those who may ask."""

    async def prepare(self) -> None:
        """Say 404, after the checks."""
        await super().prepare()
        if self._refusal is None and self.request.method != "OPTIONS":
            self._refuse(missing(f"There is nothing at this address. {self._hint}"))

    @property
    def _hint(self) -> str:
        prefix = self.gateway.options.prefix
        if not self.request.path.startswith(prefix):
            return f"This gateway's paths begin with {prefix}, and so does the gateway URL of its clients."
        return f"The routes are listed at {prefix}api/swagger.json."


def _wrong_type() -> GatewayError:
    # A page of another origin can send other types without asking first.
    return GatewayError(415, "Unsupported Media Type", "The body must be sent as Content-Type: application/json.")


def _client_gone() -> GatewayError:
    return GatewayError(CLIENT_CLOSED_REQUEST, "Client closed request", "The client went away before the answer.")
