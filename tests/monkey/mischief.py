"""What goes wrong: one fault after the other, drawn from a seed. Each ends by itself, before the next begins."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from persistence import clock
from tests.cluster.processes import ServerProcess
from tests.cluster.replicas import Cluster
from tests.mongo_proxy import MongoProxy
from tests.monkey.history import History
from tests.replica_set import ReplicaSet

# mongod dies with the thread that started it, so that must not be one of the event loop's own.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="mongod")
WRITES = ("update", "insert", "findAndModify")


class Mischief:
    """Faults on replicas and their database.

    Args:
        cluster: Its replicas, each behind a proxy to the database of its own.
        server: The database.
        proxies: By replica.
        history: Told of kernels that are killed.
        chance: The faults' random numbers.
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
        self.done: list[str] = []

    async def work(self, until: Callable[[], bool]) -> None:
        """Do one fault after the other, about one a second, until told to stop."""
        while not until():
            await self._one()
            await clock.sleep(self._chance.uniform(0.2, 1.0))

    async def _one(self) -> None:
        faults: list[Callable[[], Awaitable[None]]] = [
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
        self.done.append(fault.__name__)
        await fault()

    async def kill_a_replica(self) -> None:
        """kill -9, and a new one in its place."""
        index, replica = self._a_replica()
        replica.kill()
        await self._again(index)

    async def stop_a_replica(self) -> None:
        """SIGTERM: it drains, and ends well."""
        index, replica = self._a_replica()
        code = await asyncio.to_thread(replica.stop)
        assert code == 0, f"a drain ended with {code}"
        await self._again(index)

    async def pause_a_replica(self) -> None:
        """Pause it for less or more than a lease."""
        _, replica = self._a_replica()
        replica.signal(signal.SIGSTOP)
        await self._a_while(0.5, 4.0)
        replica.signal(signal.SIGCONT)

    async def kill_a_kernel(self) -> None:
        """Its owner, or the next one, restarts it."""
        processes = self._cluster.kernel_processes()
        if processes:
            process = self._chance.choice(processes)
            self._history.killed(process.kernel_id)
            process.kill()

    async def pause_the_database(self) -> None:
        """Connections stand, and nothing is answered."""
        self._server.pause()
        await self._a_while(0.2, 3.0)
        self._server.resume()

    async def kill_the_database(self) -> None:
        """A crash, and a start with what was acknowledged."""
        self._server.kill()
        await self._a_while(0.0, 1.0)
        await asyncio.get_running_loop().run_in_executor(_STARTER, self._server.start)

    async def cut_connections(self) -> None:
        """All connections of one replica to the database."""
        self._a_proxy().cut()

    async def delay_answers(self) -> None:
        """Each answer comes late: some within the operation timeout, some not."""
        proxy = self._a_proxy()
        proxy.delay(self._chance.uniform(0.05, 0.7))
        await self._a_while(0.5, 2.0)
        proxy.pass_on()

    async def swallow_everything(self) -> None:
        """One replica is cut off, without a sign."""
        proxy = self._a_proxy()
        proxy.swallow()
        await self._a_while(0.2, 3.0)
        proxy.pass_on()

    async def lose_answers(self) -> None:
        """Writes are made, and nobody is told."""
        proxy = self._a_proxy()
        proxy.lose_answers(lambda command: next(iter(command), "") in WRITES, times=self._chance.randint(1, 5))
        await self._a_while(0.2, 1.0)
        proxy.pass_on()

    def _a_replica(self) -> tuple[int, ServerProcess]:
        index = self._chance.randrange(len(self._cluster.replicas))
        return index, self._cluster.replicas[index]

    def _a_proxy(self) -> MongoProxy:
        return self._chance.choice(self._proxies)

    async def _again(self, index: int) -> None:
        await asyncio.to_thread(self._cluster.start_again, index)

    async def _a_while(self, least: float, most: float) -> None:
        await clock.sleep(self._chance.uniform(least, most))
