"""Asks another replica about a client that has come here: whether it may come in, and for what was kept for it there.

Never for long: a replica that is known to be dead is not asked, one that does not listen says so at once, and one that
does not answer in time is given up. The client may come in then, and what was kept is lost.
"""

from __future__ import annotations

import asyncio
import ssl
from logging import Logger, LoggerAdapter
from typing import Any

from tornado.httpclient import HTTPError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from culling.membership import Membership
from enterprise_gateway.peers.giving import NO, YES
from enterprise_gateway.peers.letters import ADMIT, HAND_OVER, SUPERSEDE, Ask, Letters, NotGenuine
from enterprise_gateway.relay.claims import Former
from enterprise_gateway.relay.handover import Handover, MalformedHandover, unpack
from persistence.errors import PersistenceError
from persistence.kernel_session_manager import KernelSessionManager

SCHEME = "Sealed"
HANDOVER_PATH = "/peer/kernels/{kernel_id}/handover"
ADMISSION_PATH = "/peer/kernels/{kernel_id}/admission"
SUCCESSION_PATH = "/peer/kernels/{kernel_id}/succession"
PATHS = {HAND_OVER: HANDOVER_PATH, ADMIT: ADMISSION_PATH, SUPERSEDE: SUCCESSION_PATH}
ADMISSION_SECONDS = 2.0  # more than the other one may wait for its client
CONNECT_SECONDS = 1.0
MARGIN_SECONDS = 0.5  # between what the other one may take and what is waited for
AT_ONCE = {HAND_OVER: 20, ADMIT: 200, SUPERSEDE: 200}
"""Asks to one replica; what is handed over may be large, and the others wait for a client or a kernel."""


class Peers:
    """Asks the other replicas.

    Args:
        store: Knows where replicas are that came since the last beat.
        membership: Knows the others, and who is dead.
        letters: Seals the asks.
        context: For TLS; None where replicas speak plain HTTP.
        limit_bytes: The largest answer that is taken.
        log: Told what was not handed over.
    """

    def __init__(
        self,
        store: KernelSessionManager,
        membership: Membership,
        letters: Letters,
        *,
        context: ssl.SSLContext | None,
        limit_bytes: int,
        log: Logger | LoggerAdapter[Any],
    ) -> None:
        self._store = store
        self._membership = membership
        self._letters = letters
        self._context = context
        self._log = log
        self._limit_bytes = limit_bytes
        self._clients: dict[tuple[str, str], SimpleAsyncHTTPClient] = {}

    async def fetch(self, kernel_id: str, key: str, former: Former, seconds: float) -> Handover | None:
        """End a connection on another replica and take what it has kept; None where that can't be had in time."""
        answer = await self._answer(_ask(HAND_OVER, kernel_id, key, former, seconds), seconds)
        if answer is None:
            return None
        try:
            return await asyncio.to_thread(unpack, answer)
        except MalformedHandover as error:
            self._log.warning("What replica %s hands over can't be read: %s", former.replica, error)
            return None

    async def admits(self, kernel_id: str, key: str, former: Former) -> bool:
        """Ask whether a silent connection may succeed this one; True also where no answer can be had."""
        ask = _ask(ADMIT, kernel_id, key, former, ADMISSION_SECONDS)
        return await self._answer(ask, ADMISSION_SECONDS) != NO

    async def supersede(self, kernel_id: str, key: str, former: Former, seconds: float) -> bool:
        """Tell a connection on another replica that it has a successor.

        Returns:
            True once neither it nor one before it makes DEALERs; False if nobody said so in time.
        """
        return await self._answer(_ask(SUPERSEDE, kernel_id, key, former, seconds), seconds) == YES

    async def _answer(self, ask: Ask, seconds: float) -> bytes | None:
        try:
            async with asyncio.timeout(seconds):
                return await self._asked(ask)
        except (HTTPError, OSError, ValueError, TimeoutError, PersistenceError, NotGenuine) as error:
            self._log.info(
                "Replica %s does not answer about a client of kernel %s (%s): %s",
                ask.replica,
                ask.kernel_id,
                ask.purpose,
                str(error) or type(error).__name__,
            )
            return None

    async def _asked(self, ask: Ask) -> bytes | None:
        url = await self._url(ask.replica)
        if url is None:
            return None
        response = await self._client(ask).fetch(
            HTTPRequest(
                url.rstrip("/") + PATHS[ask.purpose].format(kernel_id=ask.kernel_id),
                method="POST",
                body=b"",
                headers={"Authorization": f"{SCHEME} {self._letters.seal(ask)}"},
                connect_timeout=CONNECT_SECONDS,
                request_timeout=ask.seconds + MARGIN_SECONDS,
                follow_redirects=False,
                ssl_options=self._context,
            )
        )
        return await asyncio.to_thread(self._letters.open_answer, ask, response.body)

    def _client(self, ask: Ask) -> SimpleAsyncHTTPClient:
        """One for each replica and purpose: who is slow holds up nobody else's asks, nor those of another kind."""
        name = ask.replica, ask.purpose
        if name not in self._clients:
            self._clients = {one: used for one, used in self._clients.items() if not self._membership.gone(one[0])}
            self._clients[name] = SimpleAsyncHTTPClient(
                force_instance=True,
                max_clients=AT_ONCE[ask.purpose],
                max_buffer_size=self._limit_bytes,
                max_body_size=self._limit_bytes,
            )
        return self._clients[name]

    async def _url(self, replica: str) -> str | None:
        """Where it is, unless it is known to be dead."""
        if self._membership.gone(replica):
            return None
        known = next((record for record in self._membership.replicas if record.replica_id == replica), None)
        record = known or await self._store.replicas.get(replica)  # it may be newer than the last look at all
        return None if record is None else record.url


def _ask(purpose: str, kernel_id: str, key: str, former: Former, seconds: float) -> Ask:
    within_seconds = max(0.0, seconds - MARGIN_SECONDS)
    return Ask(
        purpose=purpose, kernel_id=kernel_id, key=key, n=former.n, replica=former.replica, seconds=within_seconds
    )
