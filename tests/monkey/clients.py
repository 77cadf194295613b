"""A client that starts, runs, checks, restarts and deletes kernels on any replica, and tries again when it must."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx
from tornado.httpclient import HTTPError

from persistence import clock
from tests.cluster.kernel_socket import Closed, KernelSocket
from tests.monkey.history import KILLED, End, History, Story, Violation

MOST_KERNELS = 2
NAPS = 0.15
"""How much of what it does is a nap."""
REQUEST_SECONDS = 20.0
SETTLE_SECONDS = 90.0
CELL_SECONDS = 8.0
LOST = (httpx.TransportError, HTTPError, OSError, Closed, TimeoutError)
"""No answer, or a refused WebSocket: the outcome is unknown, and a later try may fare better."""
READ = "import os\nprint(globals().get('x'), os.getpid())"


class NotNow(Exception):
    """The gateway asks to come back later, or the kernel's state does not allow this now."""


class Client:
    """One user's client.

    Args:
        urls: Gives the replicas as they are now.
        token: Of the gateway.
        history: Where its facts go.
        end_of: Gives what the database knows of a kernel's end.
        chance: Its own random numbers.
        nap_seconds: How long it does nothing now and then, at most; 0: it never does.
    """

    def __init__(
        self,
        urls: Callable[[], list[str]],
        token: str,
        history: History,
        end_of: Callable[[str], Awaitable[End]],
        chance: random.Random,
        *,
        nap_seconds: float = 0.0,
    ) -> None:
        self._nap_seconds = nap_seconds
        self._end_of = end_of
        self._urls = urls
        self._token = token
        self._history = history
        self._chance = chance
        self._mine: list[Story] = []
        self._values = 0
        self._http = httpx.AsyncClient(headers={"Authorization": f"token {token}"}, timeout=REQUEST_SECONDS)
        self.done = 0
        self.lost = 0

    async def close(self) -> None:
        """Give back its connections."""
        await self._http.aclose()

    async def work(self, until: Callable[[], bool]) -> None:
        """Do one thing after the other until told to stop."""
        while not until():
            try:
                await self._choose()()
                self.done += 1
            except (NotNow, *LOST):
                self.lost += 1
                await clock.sleep(self._chance.uniform(0.05, 0.3))

    def _choose(self) -> Callable[[], Awaitable[None]]:
        if self._nap_seconds and self._chance.random() < NAPS:
            return self.nap
        living = [story for story in self._mine if not story.deleted]
        if not living or (len(living) < MOST_KERNELS and self._chance.random() < 0.2):
            return lambda: self.start(self._begin())
        story = self._chance.choice(living)
        if not story.started:
            return lambda: self.start(story)
        acts = {self.write: 6, self.read: 6, self.look: 2, self.restart: 1, self.delete: 1}
        (act,) = self._chance.choices(list(acts), list(acts.values()))
        if act == self.look and self._chance.random() < 0.5:
            return self.list
        return lambda: act(story)

    def _begin(self) -> Story:
        story = self._history.new(str(UUID(int=self._chance.getrandbits(128), version=4)))
        self._mine.append(story)
        return story

    async def nap(self) -> None:
        """Do nothing for a while."""
        await clock.sleep(self._chance.uniform(0.0, self._nap_seconds))

    async def start(self, story: Story) -> None:
        """Start the kernel, or ask for the same start again."""
        sent, repeated = clock.monotonic(), story.open_starts > 0
        story.began_start()
        body = {"name": "python3", "kernel_id": story.kernel_id}
        answer = await self._request("POST", "/api/kernels", body)
        self._let_die(story, answer)
        if answer.status_code == 500:
            story.did_not_start()
            raise NotNow(answer.text)
        self._expect(answer, 201)
        story.was_started()
        if not repeated:  # else it may have been started long ago
            self._history.was_used(story, sent, by=None)

    async def write(self, story: Story) -> None:
        """Set the kernel's variable."""
        self._values += 1
        value = self._values
        story.began_write(value)
        _, pid = await self._cell(story, f"x = {value}\n{READ}")
        story.was_written(value, pid)

    async def read(self, story: Story) -> None:
        """Read the kernel's variable."""
        value, pid = await self._cell(story, READ)
        story.was_read(value, pid)

    async def look(self, story: Story) -> None:
        """Ask for the kernel."""
        answer = await self._request("GET", f"/api/kernels/{story.kernel_id}")
        if not await self._not_found(answer, story):
            self._expect(answer, 200)

    async def list(self) -> None:
        """Ask for all kernels."""
        alive, gone = self._history.alive_before(), self._history.gone_before()
        answer = await self._request("GET", "/api/kernels")
        self._expect(answer, 200)
        for story in self._history.was_listed({kernel["id"] for kernel in answer.json()}, alive, gone):
            await self._was_not_found(story)

    async def restart(self, story: Story) -> None:
        """Restart the kernel."""
        story.began_restart()
        sent = clock.monotonic()
        answer = await self._request("POST", f"/api/kernels/{story.kernel_id}/restart", {})
        self._let_die(story, answer)
        if not await self._not_found(answer, story):
            self._expect(answer, 200)
            story.was_restarted()
            self._history.was_used(story, sent, by=None)

    async def delete(self, story: Story) -> None:
        """Delete the kernel, and see that it is gone."""
        story.began_delete()
        answer = await self._request("DELETE", f"/api/kernels/{story.kernel_id}")
        if not await self._not_found(answer, story):  # an earlier one has done it
            self._expect(answer, 204)
            story.was_deleted()

    async def settle(self) -> None:
        """When all faults are over: what must live works."""
        for story in self._mine:
            await self._patiently(f"read of {story.kernel_id}", functools.partial(self._check, story))
        await self._patiently("list", self.list)

    async def _check(self, story: Story) -> None:
        if story.surely_alive:
            await self.read(story)

    async def _patiently(self, what: str, act: Callable[[], Awaitable[None]]) -> None:
        deadline = clock.Deadline(SETTLE_SECONDS)
        while True:
            try:
                return await act()
            except (NotNow, *LOST) as error:
                if deadline.passed:
                    raise Violation(f"{what}: {error!r} {SETTLE_SECONDS:.0f} s after the last fault") from error
                await clock.sleep(0.3)

    async def _cell(self, story: Story, code: str) -> tuple[int | None, int]:
        replica = self._chance.choice(self._urls())
        url = f"{replica}/api/kernels/{story.kernel_id}/channels"
        try:
            async with asyncio.timeout(CELL_SECONDS):
                kernel = await KernelSocket.open(url, token=self._token)
        except HTTPError as error:
            if error.code == 404:
                await self._was_not_found(story)
            elif error.code not in (409, 503, 599):
                raise Violation(f"a WebSocket was refused with {error.code}") from error
            raise
        sent = clock.monotonic()
        try:
            done = await kernel.execute(code, seconds=CELL_SECONDS)
        finally:
            # Not its clean end: a replica that is paused would be waited for.
            kernel._connection.close()
        if done.reply["status"] == "aborted":
            raise NotNow
        self._history.was_used(story, sent, by=replica)
        value, pid = done.printed().split()
        return None if value == "None" else int(value), int(pid)

    async def _request(self, method: str, path: str, body: object = None) -> httpx.Response:
        url = self._chance.choice(self._urls()) + path
        return await self._http.request(method, url, json=body)

    def _let_die(self, story: Story, answer: httpx.Response) -> None:
        """A kernel that is killed while it starts fails its start, which says so."""
        if answer.status_code == 500 and story.killed and any(words in answer.text for words in KILLED):
            raise NotNow(answer.text)

    async def _not_found(self, answer: httpx.Response, story: Story) -> bool:
        if answer.status_code != 404:
            return False
        await self._was_not_found(story)
        return True

    async def _was_not_found(self, story: Story) -> None:
        story.was_not_found(await self._end_of(story.kernel_id))

    def _expect(self, answer: httpx.Response, status: int) -> None:
        if answer.status_code == status:
            return
        if answer.status_code in (409, 503, 504):
            if answer.status_code == 503 and "Retry-After" not in answer.headers:
                raise Violation(f"503 without Retry-After: {answer.text}")
            raise NotNow(answer.text)
        raise Violation(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}")
