"""What the gateway tells a client that it can't serve.

A `GatewayError` is an answer, not a fault: handlers render it as JSON `{"reason", "message"}` with its status. Its text
reaches people (JupyterLab shows it) and logs, so it never holds a secret, and says what to do. Settings that can't work
are no answer: they raise `persistence.errors.ConfigurationError` at start.
"""

from __future__ import annotations

RETRY_AFTER_SECONDS = 2  # about as long as another replica needs to take over, or a database to elect its primary

NO_ROOM_SECONDS = 10  # a user has to make room, by closing or shutting down something


class GatewayError(Exception):
    """An answer other than success.

    Args:
        status: The HTTP status, 400 to 599.
        reason: A short plain phrase; it becomes the HTTP reason phrase, so anything but printable ASCII is replaced.
        message: A sentence for the person who reads it: what is wrong, and what to do about it.
        retry_after_seconds: When the same request may work; sent as `Retry-After`.
    """

    def __init__(self, status: int, reason: str, message: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = plain(reason)
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}"


def plain(phrase: str) -> str:
    """Make `phrase` fit for an HTTP reason line: printable ASCII without `<`, at most 120 characters."""
    return "".join(c if " " <= c <= "~" and c != "<" else "?" for c in phrase)[:120]


def bad_request(message: str, reason: str = "Bad request") -> GatewayError:
    """400: the request can't be understood, and won't be by repeating it."""
    return GatewayError(400, reason, message)


def forbidden(message: str, reason: str = "Forbidden") -> GatewayError:
    """403: understood and refused: a limit, a user, a setting."""
    return GatewayError(403, reason, message)


def not_found(kernel_id: str) -> GatewayError:
    """404 for a kernel: said only when the database says that it is gone."""
    return GatewayError(404, "Kernel does not exist", f"Kernel does not exist: {kernel_id}")


def missing(message: str, reason: str = "Not found") -> GatewayError:
    """404 for anything but a kernel: a session, a kernelspec, a file, a route."""
    return GatewayError(404, reason, message)


def conflict(message: str, reason: str = "Conflict") -> GatewayError:
    """409: the state of what is named does not allow this now."""
    return GatewayError(409, reason, message)


def being_shut_down() -> GatewayError:
    """409: the kernel is being ended, and is nobody's to use any more."""
    return conflict("The kernel is being shut down.", "Kernel is being shut down")


def unavailable(
    message: str, reason: str = "Service unavailable", *, retry_after_seconds: int = RETRY_AFTER_SECONDS
) -> GatewayError:
    """503 with `Retry-After`: nothing is known to be gone; the same request may work soon, or elsewhere."""
    return GatewayError(503, reason, message, retry_after_seconds=retry_after_seconds)


def no_room(message: str) -> GatewayError:
    """503: this replica or its host lacks something at the moment. Others may have it; here it takes a while."""
    return unavailable(message, "No room on the host", retry_after_seconds=NO_ROOM_SECONDS)


def timed_out(message: str, reason: str = "Gateway timeout") -> GatewayError:
    """504: a deadline of the request is over; what it had begun is stopped."""
    return GatewayError(504, reason, message)
