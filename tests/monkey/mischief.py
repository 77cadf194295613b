"""What goes wrong: one fault after the other, drawn from a seed. Each ends by itself, before the next begins."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from persistence import clock
from tests.cluster.processes import ServerProcess
from tests.cluster.replicas import BEAT_SECONDS, Cluster
from tests.mongo_proxy import MongoProxy
from tests.monkey.history import History
from tests.replica_set import ReplicaSet

# mongod dies with the thread that started it, so that must not be one of the event loop's own.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="mongod")
LEASES = {"EG_LEASE_DURATION": "2", "EG_RENEW_DEADLINE": "1.2", "EG_OPERATION_TIMEOUT": "0.5"}
"""Short, so that much happens in a minute."""
HELD_FOR_DEAD_SECONDS = float(LEASES["EG_LEASE_DURATION"]) - BEAT_SECONDS
"""How long a replica may be quiet, and is still taken for alive: it may have beaten an interval before."""
NO_START = "The gateway can't start: "
NO_START_CHARS = 500
NOBODY = "there is none"
WRITES = ("update", "insert", "findAndModify")


class Mischief:
    """Faults on replicas and their database.

    Args:
        cluster: Its replicas, each behind a proxy to the database of its own.
        server: The database.
        proxies: By replica.
        history: Told of kernels that are killed, and of replicas that die or are held for dead.
        chance: The faults' random numbers.

    Attributes:
        done: How often each fault was done to somebody, from its beginning to its end.
    """

    def __init__(
        self,
        cluster: Cluster,
        server: ReplicaSet,
        proxies: list[MongoProxy],
        history: History,
        chance: random.Random,
    ) -> None:
        self._history = history
        self._cluster = cluster
        self._server = server
        self._proxies = proxies
        self._chance = chance
        self._began = clock.monotonic()
        self.done: Counter[str] = Counter()

    async def work(self, until: Callable[[], bool]) -> None:
        """Do one fault after the other, about one a second, and print it, until told to stop."""
        while not until():
            await self._one()
            await clock.sleep(self._chance.uniform(0.2, 1.0))

    async def _one(self) -> None:
        faults: list[Callable[[], Awaitable[str]]] = [
            self.kill_a_replica,
            self.stop_a_replica,
            self.pause_a_replica,
            self.kill_a_kernel,
            self.pause_the_database,
            self.kill_the_database,
            self.cut_connections,
            self.delay_answers,
            self.swallow_everything,
            self.lose_answers,
        ]
        fault = self._chance.choice(faults)
        began, victim = self._elapsed_seconds, "…"
        try:
            victim = await fault()
            if victim != NOBODY:
                self.done[fault.__name__] += 1
        finally:
            print(f"{began:.1f} to {self._elapsed_seconds:.1f} s: {fault.__name__} ({victim})")

    async def kill_a_replica(self) -> str:
        """kill -9, and a new one in its place."""
        index, replica = self._a_replica()
        self._history.dies(replica.url)
        replica.kill()
        await self._again(index)
        return replica.name

    async def stop_a_replica(self) -> str:
        """SIGTERM: it drains, and ends well."""
        index, replica = self._a_replica()
        code = await asyncio.to_thread(replica.stop)
        assert code == 0, f"a drain ended with {code}"
        await self._again(index)
        return replica.name

    async def pause_a_replica(self) -> str:
        """Pause it for less or more than a lease."""
        _, replica = self._a_replica()
        seconds = self._chance.uniform(0.5, 4.0)
        replica.signal(signal.SIGSTOP)
        if seconds > HELD_FOR_DEAD_SECONDS:
            self._history.dies(replica.url)
        await clock.sleep(seconds)
        replica.signal(signal.SIGCONT)
        return replica.name

    async def kill_a_kernel(self) -> str:
        """Its owner, or the next one, restarts it."""
        processes = self._cluster.kernel_processes()
        if not processes:
            return NOBODY
        process = self._chance.choice(processes)
        self._history.killed(process.kernel_id)
        process.kill()
        return f"{process.kernel_id}, generation {process.generation}"

    async def pause_the_database(self) -> str:
        """Connections stand, and nothing is answered."""
        self._server.pause()
        await self._a_while(0.2, 3.0)
        self._server.resume()
        return "mongod"

    async def kill_the_database(self) -> str:
        """A crash, and a start with what was acknowledged."""
        self._server.kill()
        await self._a_while(0.0, 1.0)
        await asyncio.get_running_loop().run_in_executor(_STARTER, self._server.start)
        return "mongod"

    async def cut_connections(self) -> str:
        """All connections of one replica to the database."""
        index, replica = self._a_replica()
        self._proxies[index].cut()
        return replica.name

    async def delay_answers(self) -> str:
        """Each answer comes late: some within the operation timeout, some not."""
        index, replica = self._a_replica()
        self._proxies[index].delay(self._chance.uniform(0.05, 0.7))
        await self._cut_off(replica, self._chance.uniform(0.5, 2.0))
        self._proxies[index].pass_on()
        return replica.name

    async def swallow_everything(self) -> str:
        """One replica is cut off, without a sign."""
        index, replica = self._a_replica()
        self._proxies[index].swallow()
        await self._cut_off(replica, self._chance.uniform(0.2, 3.0))
        self._proxies[index].pass_on()
        return replica.name

    async def lose_answers(self) -> str:
        """Writes are made, and nobody is told."""
        index, replica = self._a_replica()
        proxy = self._proxies[index]
        proxy.lose_answers(lambda command: next(iter(command), "") in WRITES, times=self._chance.randint(1, 5))
        await self._a_while(0.2, 1.0)
        proxy.pass_on()
        return replica.name

    @property
    def _elapsed_seconds(self) -> float:
        return clock.monotonic() - self._began

    def _a_replica(self) -> tuple[int, ServerProcess]:
        index = self._chance.randrange(len(self._cluster.replicas))
        return index, self._cluster.replicas[index]

    async def _cut_off(self, replica: ServerProcess, seconds: float) -> None:
        """Let a replica be away from the database: if that is for long it is held for dead, and serves its clients."""
        with self._history.unheard(replica.url) if seconds > HELD_FOR_DEAD_SECONDS else nullcontext():
            await clock.sleep(seconds)

    async def _again(self, index: int) -> None:
        """Start a replica in its place, as a supervisor does: anew where it has ended, for want of the database."""
        while not await asyncio.to_thread(self._starts, index):
            pass

    def _starts(self, index: int) -> bool:
        try:
            self._cluster.start_again(index)
        except AssertionError:
            replica = self._cluster.replicas[index]
            if replica.running or NO_START not in replica.log[-NO_START_CHARS:]:
                raise
            return False
        return True

    async def _a_while(self, least: float, most: float) -> None:
        await clock.sleep(self._chance.uniform(least, most))
