from __future__ import annotations

import logging
import sys

import pytest

from enterprise_gateway.app import EnterpriseGatewayApp
from enterprise_gateway.log_format import KernelLog, LogFormatter


def line(message: str, *args: object, error: BaseException | None = None) -> str:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.INFO, "", 0, message, args, exc_info)
    return LogFormatter("%(message)s").format(record)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("bob\n[E 2026] forged", r"bob\n[E 2026] forged"),
        ("\x1b[2J\x1b]0;owned\a", r"\x1b[2J\x1b]0;owned\x07"),
        ("a\rb\x00\x85\u2028", r"a\rb\x00\x85\u2028"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("half \ud800", r"half \ud800"),
        ("Jürgen 日本 ☃", "Jürgen 日本 ☃"),
    ],
)
def test_what_others_have_chosen_stays_in_its_line(said: str, shown: str) -> None:
    assert line("user %s", said) == f"user {shown}"


def test_a_message_of_several_lines_keeps_them() -> None:
    assert line("ready\n    at %s", "\x1b") == "ready\n    at \\x1b"


def test_no_line_of_a_traceback_looks_like_a_message() -> None:
    try:
        raise ValueError("\x1b\n[E 2026] forged")
    except ValueError as error:
        first, *traceback = line("it failed", error=error).split("\n")
    assert first == "it failed"
    assert all(text.startswith("    ") for text in traceback)
    assert traceback[-2:] == [r"    ValueError: \x1b", "    [E 2026] forged"]


def test_the_gateway_writes_its_log_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    app = EnterpriseGatewayApp()
    for handler in app.log.handlers:
        monkeypatch.setattr(handler, "stream", sys.stderr)
    app.log.warning("user %s", "a\nb")
    assert "user a\\nb\n" in capsys.readouterr().err


def test_what_is_told_of_a_kernel_names_it(caplog: pytest.LogCaptureFixture) -> None:
    KernelLog(logging.getLogger("gateway"), "k1").warning("%s messages were lost", 3)
    assert caplog.messages == ["Kernel k1: 3 messages were lost"]
