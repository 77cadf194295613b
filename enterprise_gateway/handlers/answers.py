"""Every exception that reaches a handler's edge, as the answer that a client gets. Nothing internal is told.

Also which of them are worth a line in the log: an unexpected one with its traceback, under an id that the answer names.
"""

from __future__ import annotations

from http.client import responses

from tornado.web import HTTPError

from enterprise_gateway.errors import GatewayError, no_room, unavailable
from enterprise_gateway.shortage import shortage
from persistence.errors import PersistenceError, SealingKeyMissing, StaleWrite, StoreUnavailable

# tornado raises these by itself. Its own texts name internals, or nothing at all.
_TORNADO_MESSAGES = {
    400: "The request's path or query can't be read as UTF-8 text.",
    404: "There is nothing at this address. The routes of this gateway are listed at api/swagger.json.",
    405: "This address does not know this method.",
}


def answer_for(error: BaseException | None, *, status: int, request_id: str) -> GatewayError:
    """Return what to tell the client.

    Args:
        error: What was raised; None where tornado ends a request by a status alone.
        status: The status tornado would use.
        request_id: Names the log's entry of an unexpected error.
    """
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, HTTPError) or error is None:
        return _tornado_answer(error.status_code if error else status)
    return _trouble(error) or GatewayError(
        500,
        "Internal error",
        f"Something went wrong in the gateway. Its administrator finds it in the log under {request_id}.",
    )


def unexpected(error: BaseException | None) -> bool:
    """Say whether this is a fault of the gateway, to be logged with its traceback."""
    return error is not None and not isinstance(error, (GatewayError, HTTPError)) and _trouble(error) is None


def _trouble(error: BaseException) -> GatewayError | None:
    """Render what can happen in a cluster that is well built: nothing is lost, and the same request works later."""
    if isinstance(error, StoreUnavailable):
        return unavailable("The gateway can't reach its database at the moment. Nothing is lost; try again soon.")
    if isinstance(error, SealingKeyMissing):
        return unavailable(
            "This replica lacks the key that this kernel's secrets are sealed with. Try again, to reach another "
            "replica; its administrator adds the key to EG_SEALING_KEYS."
        )
    if (lacking := shortage(error)) is not None:
        return no_room(f"The gateway can't do this now: {lacking}. Try again, to reach another replica.")
    if isinstance(error, StaleWrite):
        return unavailable("Another request changed this kernel at the same moment. Try again.")
    if isinstance(error, PersistenceError):
        return unavailable(f"The gateway's database has refused this: {error}. Its administrator can tell why.")
    return None


def _tornado_answer(status: int) -> GatewayError:
    reason = responses.get(status, "Error")
    return GatewayError(status, reason, _TORNADO_MESSAGES.get(status, f"{reason}."))
