"""The relay's limits, made once from the traits and handed around."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """Limits of the relay; each bounds something that a client or a kernel could make grow.

    Attributes:
        client_buffer_bytes: What may wait for one slow client. Beyond it stream and display messages are left out, and
            the client is told; beyond twice as much its WebSocket is closed (1013).
        kernel_queue_bytes: What one client's messages may hold while they wait for its kernel, per channel. Beyond it
            the WebSocket is closed (1013).
        kernel_queue_messages: The same as a number of messages, and libzmq's send mark of each socket.
        open_requests: How many unanswered requests of one client are remembered, to be answered `aborted`.
        read_budget: Messages read from one socket before the event loop gets its turn.
        flow_timeout_seconds: How long a new subscription may take to be proven; then it is trusted.
        max_message_bytes: The largest WebSocket message taken from a client; a larger one closes it (1009).
        reconnect_seconds: How long what is sent to a client that is away is kept for it; 0 keeps nothing.
        reconnect_buffer_bytes: What is kept for one such client. Beyond it stream and display messages are left out,
            and the client is told when it comes; beyond twice as much all that is kept goes.
        ping_interval_seconds: Between WebSocket pings; 0 sends none. A client of whom nothing came in two intervals,
            no pong either, is closed (1012).
    """

    client_buffer_bytes: int = 64 * MEBIBYTE
    kernel_queue_bytes: int = 64 * MEBIBYTE
    kernel_queue_messages: int = 2_000
    open_requests: int = 2_000
    read_budget: int = 256
    flow_timeout_seconds: float = 1.0
    max_message_bytes: int = 512 * MEBIBYTE
    reconnect_seconds: float = 3_600.0
    reconnect_buffer_bytes: int = 16 * MEBIBYTE
    ping_interval_seconds: float = 30.0
