"""The WebSocket of a kernel: `/api/kernels/{id}/channels`.

Whatever speaks against it is answered over HTTP, before the upgrade: 404, 403, 503. After it the WebSocket stays open
until the client closes it, the replica drains (1012), the client speaks on another one of its session (1000), or it
breaks the framing (1003, 1007) or a limit (1009, 1013).
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from tornado.httputil import HTTPServerRequest
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from enterprise_gateway.errors import GatewayError, bad_request
from enterprise_gateway.handlers.base import StreamedHandler
from enterprise_gateway.handlers.kernels import known_form
from enterprise_gateway.handlers.operations import Operation, Parameter
from enterprise_gateway.handlers.routing import Route
from enterprise_gateway.handlers.services import Channels
from enterprise_gateway.relay.codec import V1_SUBPROTOCOL, choose
from enterprise_gateway.relay.connection import ClientConnection
from enterprise_gateway.relay.flag import Flag
from enterprise_gateway.relay.interfaces import Frame
from enterprise_gateway.relay.session import CLOSE_RESTARTING
from enterprise_gateway.relay.websocket_frames import close_reason, server_frames

WEBSOCKET_VERSION = "13"
UPGRADE_REQUIRED = 426


class ChannelsHandler(StreamedHandler, WebSocketHandler):
    """One client of one kernel."""

    auth_resource = "kernels"
    auth_action = "execute"
    operations: ClassVar[dict[str, Operation]] = {
        "GET": Operation(
            summary="Upgrade to a WebSocket that carries the kernel's shell, control, stdin and IOPub messages.",
            status=101,
            errors={400: "No WebSocket handshake", 404: "Kernel does not exist", 409: "Kernel is being shut down"},
            parameters=(
                Parameter(
                    name="session_id",
                    place="query",
                    description="The client's session: a reconnect under the same one gets what came meanwhile.",
                ),
            ),
        )
    }

    _channels: Channels
    _client: ClientConnection | None = None
    _sink: WebSocketSink | None = None
    _heartbeat: Heartbeat | None = None

    async def get(self, kernel_id: str) -> None:
        """Upgrade, if there is such a kernel and it can be reached.

        Raises:
            GatewayError: The answer over HTTP.
        """
        check_handshake(self.request)
        session_id = self.get_query_argument("session_id", None) or None
        self._channels = await self.gateway.kernels.open_channels(known_form(kernel_id), session_id)
        try:
            await super().get(kernel_id)
        finally:
            self._channels.settle()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an error over HTTP; a wrong version of WebSocket with the right one."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        if isinstance(error, GatewayError) and error.status == UPGRADE_REQUIRED:
            self.set_header("Sec-WebSocket-Version", WEBSOCKET_VERSION)
        super().write_error(status_code, **kwargs)

    def open(self, *_: str) -> None:
        """Attach the client to the kernel's relay."""
        # Nagle's algorithm and the client's delayed acknowledgement together cost 40 ms a cell.
        self.set_nodelay(True)
        self._sink = WebSocketSink(self)
        self._heartbeat = Heartbeat(self, self._sink, self._channels.options.ping_interval_seconds)
        framing = choose(self.selected_subprotocol, self.request.headers.get("User-Agent"))
        self._client = self._channels.attach(self._sink, framing)

    def on_message(self, message: str | bytes) -> None:
        """Pass on what the client sent."""
        if self._client is not None and self._heartbeat is not None:
            self._heartbeat.heard()
            self._client.receive(message)

    def on_pong(self, data: bytes) -> None:
        """The client lives."""
        if self._heartbeat is not None:
            self._heartbeat.heard()

    async def answers(self, seconds: float) -> bool:
        """Does the client answer a ping in that time?"""
        return self._heartbeat is not None and await self._heartbeat.answers(seconds)

    def on_close(self) -> None:
        """Detach the client. Also called for a client that went away before the upgrade."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._client is not None:
            self._client.detach()

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Choose v1 where it is offered; without, it is the legacy framing, and nothing is selected."""
        return V1_SUBPROTOCOL if V1_SUBPROTOCOL in subprotocols else None

    @property
    def max_message_size(self) -> int:
        """A longer message closes the WebSocket with 1009."""
        return self._channels.options.max_message_bytes

    @property
    def ping_interval(self) -> float | None:
        """Turn off tornado's own pings: they close with 1000, after which JupyterLab would not come back."""
        return None


class WebSocketSink:
    """A tornado WebSocket as the relay sees it: a batch of messages is one write, without a task for each."""

    def __init__(self, handler: ChannelsHandler) -> None:
        self._handler = handler

    def send(self, frames: Sequence[Frame], sent: Callable[[], None]) -> bool:
        """Write the frames; `sent` is called when the network took them."""
        connection = self._handler.ws_connection
        if connection is None or connection.stream is None or connection.is_closing():
            return False
        try:
            for piece in server_frames(frames):
                written = connection.stream.write(piece)
        except StreamClosedError:
            return False
        written.add_done_callback(lambda future: _if_well(future, sent))
        return True

    def close(self, code: int, reason: str) -> None:
        """Close after what was written before."""
        self._handler.close(code, close_reason(reason))

    async def answers(self, seconds: float) -> bool:
        """Does the client answer a ping in that time?"""
        return await self._handler.answers(seconds)


class Heartbeat:
    """Pings a client, and closes its WebSocket when nothing has come from it during two intervals."""

    def __init__(self, handler: WebSocketHandler, sink: WebSocketSink, interval_seconds: float) -> None:
        self._handler = handler
        self._sink = sink
        self._interval = interval_seconds
        self._missed = 0
        self._heard = Flag()
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        if interval_seconds > 0:
            self._schedule()

    def heard(self) -> None:
        """Something has come from the client."""
        self._missed = 0
        self._heard.set()

    async def answers(self, seconds: float) -> bool:
        """Ping the client, and wait until anything comes from it, at most so long."""
        self._heard.clear()
        try:
            self._handler.ping(b"")
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except (WebSocketClosedError, TimeoutError):
            return False
        return not self._closed

    def stop(self) -> None:
        """The WebSocket has closed."""
        self._closed = True
        self._heard.set()
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._beat)

    def _beat(self) -> None:
        self._missed += 1
        if self._missed > 2:  # the first interval had no ping before it
            self._sink.close(CLOSE_RESTARTING, "No answer to a ping")
            return
        try:
            self._handler.ping(b"")
        except WebSocketClosedError:
            return
        self._schedule()


CHANNELS_ROUTE = Route(path="/api/kernels/{kernel_id}/channels", handler=ChannelsHandler)


def check_handshake(request: HTTPServerRequest) -> None:
    """See that a request asks for a WebSocket, before anything is done for it.

    Raises:
        GatewayError: 400, or 426 for a version that nobody speaks.
    """
    headers = request.headers
    if headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in headers.get("Connection", "").lower():
        raise bad_request("This address takes WebSocket connections only; a proxy may have dropped the Upgrade header.")
    if not headers.get("Sec-WebSocket-Key") or not headers.get("Host"):
        raise bad_request("The WebSocket handshake lacks Host or Sec-WebSocket-Key.")
    if headers.get("Sec-WebSocket-Version") != WEBSOCKET_VERSION:
        message = f"Only version {WEBSOCKET_VERSION} of WebSocket is spoken here."
        raise GatewayError(UPGRADE_REQUIRED, "Upgrade Required", message)


def _if_well(written: Future[None], sent: Callable[[], None]) -> None:
    if not written.cancelled() and written.exception() is None:
        sent()
