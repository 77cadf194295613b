"""How a line of the log looks, whatever was told: clients have chosen much of it, and kernels in their last words."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

from traitlets.config.application import LevelFormatter

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LogFormatter(LevelFormatter):
    """Escapes what is not printable, so that no text begins a line of its own, moves a cursor or speaks to a terminal.

    The ends of lines stay where the message has them by itself, before anything is filled in; those of a traceback are
    indented, so that none of its lines looks like a message.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Give the line without the traceback."""
        text = super().formatMessage(record)
        return "\n".join(map(printable, text.split("\n"))) if "\n" in str(record.msg) else printable(text)

    def formatException(self, ei: _ExcInfo) -> str:
        """Give the traceback."""
        return "\n".join("    " + printable(line) for line in super().formatException(ei).split("\n"))


class KernelLog(logging.LoggerAdapter[logging.Logger | logging.LoggerAdapter[Any]]):
    """A log in which each line says which kernel it is about.

    Args:
        log: The log.
        kernel_id: The kernel.
    """

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[Any], kernel_id: str) -> None:
        super().__init__(log)
        self._kernel_id = kernel_id

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Name the kernel."""
        return f"Kernel {self._kernel_id}: {msg}", kwargs


def printable(text: str) -> str:
    """Return the text with what is not printable as Python would write it in a literal. Pure."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
