"""What is told of each request, and how loudly."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from enterprise_gateway.errors import forbidden, unavailable
from enterprise_gateway.handlers.access_log import one_line, without_tokens
from enterprise_gateway.handlers.services import Check
from enterprise_gateway.log_filters import without_details
from persistence.errors import StoreAway
from tests.unit.handlers.server import KERNEL_ID, OTHER_ID, Server

Lines = Callable[[], list[tuple[str, str]]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """The level and the text of each line of the access log so far."""
    name = "enterprise_gateway.handlers.access_log"
    caplog.set_level(logging.DEBUG, logger=name)
    return lambda: [(entry.levelname, entry.getMessage()) for entry in caplog.records if entry.name == name]


@pytest.mark.parametrize("path", ["/api/kernels", f"/api/kernels/{KERNEL_ID}", "/api/kernelspecs", "/readyz"])
async def test_what_was_only_read_is_told_at_debug(server: Server, lines: Lines, path: str) -> None:
    await server.ask("GET", path)
    ((level, text),) = lines()
    assert level == "DEBUG"
    assert text.startswith(f"200 GET {path} (127.0.0.1)")


async def test_what_changed_something_is_told_at_info_with_its_user_and_kernelspec(
    server: Server, lines: Lines
) -> None:
    await server.ask("POST", "/api/kernels", {"name": "python3", "env": {"KERNEL_USERNAME": "ann"}})
    await server.ask("DELETE", f"/api/kernels/{KERNEL_ID}")
    (started, ended) = lines()
    assert (started[0], ended[0]) == ("INFO", "INFO")
    assert started[1].endswith("for user ann, kernelspec python3")
    assert f"204 DELETE /api/kernels/{KERNEL_ID} " in ended[1]


async def test_a_refused_start_is_told_with_its_reason_and_whose_it_was(server: Server, lines: Lines) -> None:
    server.kernels.failure = forbidden("ann has 2 kernels already.", "Limit reached")
    await server.ask("POST", "/api/kernels", {"kernel_id": OTHER_ID, "env": {"KERNEL_USERNAME": "ann"}})
    ((level, text),) = lines()
    assert level == "WARNING"
    assert text.endswith(
        f"for user ann, kernelspec (default), kernel {OTHER_ID}: Limit reached: ann has 2 kernels already."
    )


async def test_a_session_that_is_refused_names_its_user_too(
    server: Server, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(request: object) -> None:
        raise forbidden("No.")

    monkeypatch.setattr(server.sessions, "create", refuse)
    kernel = {"name": "python3", "env": {"KERNEL_USERNAME": "ann"}}
    await server.ask("POST", "/api/sessions", {"path": "a", "type": "notebook", "kernel": kernel})
    assert lines()[0][1].endswith("for user ann, kernelspec python3: Forbidden: No.")


@pytest.mark.parametrize("failure", [StoreAway("away"), unavailable("This replica is being stopped.")])
async def test_an_outage_or_a_stop_is_a_warning_and_no_error_of_each_request(
    server: Server, lines: Lines, failure: Exception
) -> None:
    server.kernels.failure = failure
    await server.ask("GET", "/api/kernels")
    assert [level for level, _ in lines()] == ["WARNING"]


async def test_a_fault_of_the_gateway_is_an_error(server: Server, lines: Lines) -> None:
    server.kernels.failure = RuntimeError("a bug")
    await server.ask("GET", "/api/kernels")
    assert [level for level, _ in lines()] == ["ERROR"]


async def test_a_probe_that_fails_is_told_with_what_is_not_well(server: Server, lines: Lines) -> None:
    server.health.able = (Check(name="database", ok=False, message="away"), Check(name="tasks", ok=True))
    await server.ask("GET", "/readyz")
    ((level, text),) = lines()
    assert level == "WARNING"
    assert text.endswith("ms: database: away")


async def test_an_unknown_address_is_told_with_its_reason(server: Server, lines: Lines) -> None:
    await server.ask("GET", "/nowhere?token=s3cret")
    ((level, text),) = lines()
    assert level == "WARNING"
    assert "404 GET /nowhere?token=[secret]" in text
    assert ": Not found: There is nothing at this address." in text


def test_a_text_of_a_clients_own_can_begin_no_line_of_the_log() -> None:
    assert one_line("a\r\n[C 2024] forged\x1b[2J") == "a [C 2024] forged [2J"


def test_a_long_text_is_cut_in_the_log() -> None:
    assert len(one_line("x" * 10_000)) == 501


def test_a_token_in_the_address_is_replaced_however_its_name_is_written() -> None:
    assert without_tokens("/a?x=1&%74oken=abc&TOKEN=d") == "/a?x=1&%74oken=[secret]&TOKEN=[secret]"


@pytest.mark.parametrize("uri", ["/a?x=1;token=abc", "/a?y?token=abc", "/a?y#token=abc"])
def test_a_token_behind_what_somebody_took_for_the_mark_is_replaced_too(uri: str) -> None:
    assert "abc" not in without_tokens(uri)


def test_what_can_not_be_read_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("tests.malformed")
    log.addFilter(without_details)
    with caplog.at_level(logging.INFO):
        log.info("Malformed HTTP message from %s: %s", "127.0.0.1", "Invalid header value 'token s3cret'")
    assert caplog.messages == ["Malformed HTTP message from 127.0.0.1"]
