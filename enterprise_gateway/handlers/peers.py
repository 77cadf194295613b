"""What one replica asks another: no part of the API, and no token opens it. The ask itself is sealed."""

from __future__ import annotations

from enterprise_gateway.handlers.base import KNOWN_METHODS, StreamedHandler
from enterprise_gateway.handlers.kernels import known_form
from enterprise_gateway.handlers.routing import Route
from enterprise_gateway.handlers.services import Handovers
from enterprise_gateway.peers.asking import ADMISSION_PATH, HANDOVER_PATH, SCHEME, SUCCESSION_PATH
from enterprise_gateway.peers.giving import refused
from persistence import faults


class PeerHandler(StreamedHandler):
    """Answers another replica."""

    SUPPORTED_METHODS = KNOWN_METHODS
    auth_resource = None
    needs_token = False
    quiet = True

    async def prepare(self) -> None:
        """Let every source pass, by whatever name it knows this replica: the ask is judged by its seal.

        Raises:
            GatewayError: 403, there is none.
        """
        self.asked()

    def asked(self) -> tuple[Handovers, str]:
        """Return who answers, and the sealed ask.

        Raises:
            GatewayError: 403, there is none.
        """
        scheme, _, sealed = self.request.headers.get("Authorization", "").partition(" ")
        if scheme != SCHEME or self.gateway.handovers is None:
            raise refused()
        return self.gateway.handovers, sealed

    def answer(self, sealed: bytes) -> None:
        """Answer this."""
        self.set_header("Content-Type", "application/octet-stream")
        self.finish(sealed)


class HandoverHandler(PeerHandler):
    """Hands over what was kept for a client that has come to another replica."""

    async def post(self, kernel_id: str) -> None:
        """End a connection, and answer with what it has kept.

        Raises:
            GatewayError: 403, 404.
        """
        handovers, sealed = self.asked()
        faults.reach("asked to hand over", kernel_id)
        given = await handovers.give(known_form(kernel_id), sealed)
        faults.reach("handed over", kernel_id)
        self.answer(given)


class AdmissionHandler(PeerHandler):
    """Says whether a silent connection, on another replica, may take over a client's session."""

    async def post(self, kernel_id: str) -> None:
        """Answer for the connection that is here.

        Raises:
            GatewayError: 403, 404.
        """
        handovers, sealed = self.asked()
        self.answer(await handovers.admit(known_form(kernel_id), sealed))


class SuccessionHandler(PeerHandler):
    """Hears that a client's session has gone on at another replica."""

    async def post(self, kernel_id: str) -> None:
        """Make no DEALERs for the connection that is here.

        Raises:
            GatewayError: 403, 404.
        """
        handovers, sealed = self.asked()
        self.answer(await handovers.supersede(known_form(kernel_id), sealed))


PEER_ROUTES = (
    Route(path=HANDOVER_PATH, handler=HandoverHandler),
    Route(path=ADMISSION_PATH, handler=AdmissionHandler),
    Route(path=SUCCESSION_PATH, handler=SuccessionHandler),
)
