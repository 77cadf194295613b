"""What one replica asks another: no part of the API, and no token opens it. The ask itself is sealed."""

from __future__ import annotations

from enterprise_gateway.handlers.base import GuardedHandler
from enterprise_gateway.handlers.kernels import known_form
from enterprise_gateway.handlers.routing import Route
from enterprise_gateway.peers.asking import PATH, SCHEME
from enterprise_gateway.peers.giving import refused


class HandoverHandler(GuardedHandler):
    """Hands over what was kept for a client that has come to another replica."""

    auth_resource = None
    needs_token = False
    quiet = True

    async def prepare(self) -> None:
        """Let every source pass, by whatever name it knows this replica: the ask is judged by its seal."""

    async def post(self, kernel_id: str) -> None:
        """End a connection, and answer with what it has kept.

        Raises:
            GatewayError: 403, 404.
        """
        scheme, _, sealed = self.request.headers.get("Authorization", "").partition(" ")
        if scheme != SCHEME or self.gateway.handovers is None:
            raise refused()
        given = await self.gateway.handovers.give(known_form(kernel_id), sealed)
        self.set_header("Content-Type", "application/octet-stream")
        self.finish(given)


HANDOVER_ROUTE = Route(path=PATH, handler=HandoverHandler)
