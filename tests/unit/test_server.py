"""The server's socket: its port, its TLS, its client certificates."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from tornado.web import Application, RequestHandler, stream_request_body

from enterprise_gateway.config.settings import GatewayTraits
from enterprise_gateway.server import Bound, advertised_host, bind, close, serve
from persistence.errors import ConfigurationError
from tests.unit.config.test_tls import files

__all__ = ["files"]

LOG = logging.getLogger(__name__)
ASKED = asyncio.Semaphore(0)
# tornado leaves the socket that it could not bind to the garbage collector.
leaves_a_socket = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Hello(RequestHandler):
    def get(self) -> None:
        self.write("hello")


@stream_request_body
class NeverDecides(RequestHandler):
    async def prepare(self) -> None:
        ASKED.release()
        await asyncio.Event().wait()


class WhoCalls(RequestHandler):
    def get(self) -> None:
        self.write(f"{self.request.remote_ip} by {self.request.protocol}")


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[Bound]:
    traits = GatewayTraits(port=0, **settings)
    bound = bind(traits, LOG)
    server = serve(bound, Application([("/", Hello), ("/who", WhoCalls)]), traits, LOG)
    try:
        yield bound
    finally:
        server.stop()
        await server.close_all_connections()


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


async def test_plain_http_is_served_at_the_url_that_is_told() -> None:
    async with served() as bound, httpx.AsyncClient() as client:
        assert (await client.get(bound.url("127.0.0.1", "/"))).text == "hello"


@pytest.mark.parametrize(
    ("headers", "trusted"),
    [
        ({"X-Forwarded-For": "198.51.100.9, 203.0.113.7", "X-Forwarded-Proto": "https"}, "203.0.113.7 by https"),
        ({"X-Real-Ip": "203.0.113.7", "X-Scheme": "https"}, "203.0.113.7 by https"),
        ({}, "127.0.0.1 by http"),
    ],
)
async def test_what_a_proxy_says_of_a_client_counts_only_where_it_is_trusted(
    headers: dict[str, str], trusted: str
) -> None:
    for setting, caller in ((True, trusted), (False, "127.0.0.1 by http")):
        async with served(trust_xheaders=setting) as bound, httpx.AsyncClient(headers=headers) as client:
            assert (await client.get(bound.url("127.0.0.1", "/who"))).text == caller


async def test_with_a_certificate_it_speaks_tls(files: dict[str, str]) -> None:
    trusted = ssl.create_default_context(cafile=files["certfile"])
    trusted.check_hostname = False
    async with (
        served(certfile=files["certfile"], keyfile=files["keyfile"]) as bound,
        httpx.AsyncClient(verify=trusted) as client,
    ):
        url = bound.url("127.0.0.1", "/")
        assert url.startswith("https://")
        assert (await client.get(url)).text == "hello"


async def test_a_client_without_a_certificate_is_refused_where_one_is_asked_for(files: dict[str, str]) -> None:
    settings = {"certfile": files["certfile"], "keyfile": files["keyfile"], "client_ca": files["certfile"]}
    without = ssl.create_default_context(cafile=files["certfile"])
    without.check_hostname = False
    having = ssl.create_default_context(cafile=files["certfile"])
    having.check_hostname = False
    having.load_cert_chain(files["certfile"], files["keyfile"])
    async with served(**settings) as bound:
        async with httpx.AsyncClient(verify=having) as client:
            assert (await client.get(bound.url("127.0.0.1", "/"))).text == "hello"
        async with httpx.AsyncClient(verify=without) as client:
            with pytest.raises(httpx.TransportError):
                await client.get(bound.url("127.0.0.1", "/"))


async def test_requests_that_never_come_to_their_body_are_not_waited_for_however_many_there_are() -> None:
    traits = GatewayTraits(port=0)
    bound = bind(traits, LOG)
    server = serve(bound, Application([("/", NeverDecides)]), traits, LOG)
    clients = [await asyncio.open_connection("127.0.0.1", bound.port) for _ in range(2)]
    for _, writer in clients:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await ASKED.acquire()
    assert not await close(server, 0.1)
    for _, writer in clients:
        writer.close()


@leaves_a_socket
def test_a_port_that_is_taken_is_passed_over(taken: int) -> None:
    bound = bind(GatewayTraits(port=taken, port_retries=20), LOG)
    assert taken < bound.port <= taken + 20
    for one in bound.sockets:
        one.close()


@leaves_a_socket
def test_without_retries_a_taken_port_is_told(taken: int) -> None:
    with pytest.raises(ConfigurationError, match=f"No port from {taken} on is free"):
        bind(GatewayTraits(port=taken, port_retries=0), LOG)


def test_a_port_that_this_user_may_not_have_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(port: int, address: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("enterprise_gateway.server.bind_sockets", denied)
    with pytest.raises(ConfigurationError, match=r"Port 80 is not for this user .* above 1023"):
        bind(GatewayTraits(port=80), LOG)


@leaves_a_socket
def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1"):
        bind(GatewayTraits(ip="192.0.2.1", port=0), LOG)


@pytest.mark.parametrize(
    ("host", "base_url", "url"),
    [("10.0.0.7", "/", "http://10.0.0.7:80"), ("::1", "/gw/", "http://[::1]:80/gw")],
)
def test_urls_are_written_for_clients(host: str, base_url: str, url: str) -> None:
    assert Bound(sockets=[], port=80, context=None).url(host, base_url) == url


def test_a_wildcard_address_is_advertised_by_the_hosts_name() -> None:
    assert advertised_host("0.0.0.0") == socket.gethostname()
    assert advertised_host("10.0.0.7") == "10.0.0.7"
