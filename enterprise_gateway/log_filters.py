"""What of other packages' log messages is not told."""

from __future__ import annotations

import logging


def without_details(record: logging.LogRecord) -> bool:
    """Leave out what tornado quotes of a message that it can't read: it may be the header with the token.

    A filter for the logger `tornado.general`; it lets every record pass.
    """
    if isinstance(record.msg, str) and record.msg.startswith("Malformed HTTP message") and record.args:
        record.msg, record.args = "Malformed HTTP message from %s", tuple(record.args)[:1]
    return True
