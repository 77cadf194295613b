"""A filter for a log that would tell the same several times."""

from __future__ import annotations

from logging import Filter, LogRecord


class OncePerText(Filter):
    """Lets every message pass, but those that begin alike only once each.

    Args:
        beginning: How those begin.
    """

    def __init__(self, beginning: str) -> None:
        super().__init__()
        self._beginning = beginning
        self._told: set[str] = set()

    def filter(self, record: LogRecord) -> bool:
        """Say whether this message passes."""
        text = record.getMessage()
        if not text.startswith(self._beginning):
            return True
        new = text not in self._told
        self._told.add(text)
        return new
