"""Where the gateway listens, and what it accepts from a connection."""

from __future__ import annotations

from typing import Any

from traitlets import Bool, Float, HasTraits, Integer, TraitError, Unicode, validate

MIB = 1024 * 1024


class ServerTraits(HasTraits):
    """Settings of the HTTP server."""

    ip = Unicode(
        "127.0.0.1",
        config=True,
        help="IP address to listen on; `0.0.0.0` or `::` for every interface. Any but a loopback address needs "
        "`auth_token`: the gateway does not start without.",
    )
    port = Integer(
        8888,
        min=0,
        max=65535,
        config=True,
        help="TCP port to listen on. 0 lets the system choose a free one, which the start-up banner names.",
    )
    port_retries = Integer(
        50,
        min=0,
        config=True,
        help="Number of further ports to try, upwards from `port`, where it is taken. Set it to 0 behind a proxy, "
        "which would not find the gateway on another port.",
    )
    base_url = Unicode(
        "/",
        config=True,
        help="Path in front of every route, such as `/gateway/`, for a proxy that passes it on. Clients have it in "
        "their gateway URL.",
    )
    certfile = Unicode(
        None,
        allow_none=True,
        config=True,
        help="Path of the PEM file with the server's certificate and its chain. With it the gateway speaks TLS only.",
    )
    keyfile = Unicode(
        None,
        allow_none=True,
        config=True,
        help="Path of the PEM file with the certificate's private key. Not needed where `certfile` holds the key too.",
    )
    client_ca = Unicode(
        None,
        allow_none=True,
        config=True,
        help="Path of the PEM file with the authorities whose client certificates are accepted. With it a connection "
        "without such a certificate is refused, also one that has a token. Needs `certfile`.",
    )
    ssl_version = Integer(
        None,
        allow_none=True,
        config=True,
        help="Number of the TLS protocol as Python's `ssl.PROTOCOL_*` counts, kept for EG's users: 5 allows TLS 1.2 "
        "alone, 2, 16 and 17 mean the default, TLS 1.2 and later. Older protocols are refused at start.",
    )
    trust_xheaders = Bool(
        False,
        config=True,
        help="Whether `X-Forwarded-For`, `X-Real-Ip`, `X-Forwarded-Proto` and `X-Scheme` say who the client is and how "
        "it came. Turn it on only behind a proxy that sets them, since a client could invent them.",
    )
    max_body_bytes = Integer(
        4 * MIB,
        min=1024,
        config=True,
        help="Bytes that the body of a request may have; a longer one is answered by 413. It bounds the memory that a "
        "request can take, so it need not be larger than the largest `env` of a kernel.",
    )
    max_message_bytes = Integer(
        512 * MIB,
        min=64 * 1024,
        config=True,
        help="Bytes that one WebSocket message from a client may have, its binary buffers included; a longer one "
        "closes the connection. Widgets send data of this kind.",
    )
    client_buffer_bytes = Integer(
        64 * MIB,
        min=MIB,
        config=True,
        help="Bytes that may wait in memory for one WebSocket whose client reads slowly. Beyond it output is left out "
        "and the client told so; status, replies and widgets' messages are never left out, and at twice as much the "
        "connection is closed (1013). Many slow clients may need this much each.",
    )
    kernel_queue_bytes = Integer(
        64 * MIB,
        min=MIB,
        config=True,
        help="Bytes of one client's messages that may wait in memory, per channel, for a kernel that is not up yet or "
        "does not read. Beyond it the connection is closed (1013).",
    )
    kernel_send_mark = Integer(
        100_000,
        min=0,
        config=True,
        help="Number of messages that an ipykernel keeps for each replica that listens to it, before it drops any; its "
        "own mark is 1,000, which a loop that prints exceeds in moments. It is set by a silent cell when the kernel "
        "has started, if it listens on Unix sockets, as local ones do. 0 runs none, and leaves it at that. What is "
        "dropped all the same, the clients are told.",
    )
    kernel_gc_freeze = Bool(
        True,
        config=True,
        help="Have an ipykernel leave what is there when it has started out of Python's garbage collection "
        "(`gc.freeze`), by the same cell: it ends in a fifth of the CPU time, so that many end at once in a moment, "
        "and its collections are faster. What users make from their first cell on is collected and finalized as ever. "
        "What IPython's startup files make is frozen too: what of it is in a reference cycle stays until the end, and "
        "is not finalized then. `gc.get_objects` and `gc.get_referrers` do not show what is frozen. `gc.unfreeze()` "
        "undoes it in one kernel.",
    )
    kernel_quick_end = Bool(
        True,
        config=True,
        help="Have an ipykernel end without detours, by the same cell: one that has no child processes does not search "
        "for them, which would read of every process of the host (a third of its end where 30 kernels run, and more "
        "with each), and its threads end in an order in which none waits for another for ever. Child processes that "
        "it has are searched for and ended as ever.",
    )
    reconnect_timeout = Float(
        3600.0,
        min=0.0,
        config=True,
        help="Seconds that a client with a `session_id` may be away: so long what its kernel sends meanwhile is kept "
        "for it, and given to it on whichever replica it comes back to. 0 keeps nothing. A client that never comes "
        "back costs memory until then.",
    )
    reconnect_buffer_bytes = Integer(
        16 * MIB,
        min=MIB,
        config=True,
        help="Bytes that are kept for one such client. Beyond it output is left out, and the client told so when it "
        "comes; status, replies and widgets' messages are kept up to twice as much, then all of it goes.",
    )
    reconnect_total_bytes = Integer(
        256 * MIB,
        min=MIB,
        config=True,
        help="Bytes that this replica keeps for all such clients together. Beyond it, what is kept for those that went "
        "first goes.",
    )
    ws_ping_interval = Float(
        30.0,
        min=0.0,
        config=True,
        help="Seconds between the pings on a WebSocket. They keep proxies from closing an idle connection, so stay "
        "below the proxy's read timeout, and find clients that vanished: one of whom nothing comes for two intervals "
        "is disconnected. 0 sends none.",
    )
    keep_alive_timeout = Float(
        620.0,
        min=1.0,
        config=True,
        help="Seconds that an idle HTTP connection stays open. A proxy that keeps connections must drop them earlier, "
        "or a request now and then meets one that is just closed; of the common balancers none keeps them for longer "
        "than ten minutes. WebSockets are no idle connections.",
    )

    @validate("base_url")
    def _with_slashes(self, proposal: dict[str, Any]) -> str:
        path = proposal["value"].strip("/")
        if "//" in path or any(c in path for c in "?#% "):
            raise TraitError("base_url must be a plain path such as /gateway/, without blanks, `?`, `#` or `%`")
        return f"/{path}/" if path else "/"
