"""What goes wrong: a fault each second, drawn from a seed, beside those that are not over yet. Each ends by itself.

A replica has one fault at a time, and is left alone for a moment afterwards, as long as a beat and a flush take: so
much the oracle counts on. One replica of three has none that takes it from its clients, and none has trouble with its
connections while the database itself is in trouble.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import count
from typing import Protocol

from pymongo.errors import PyMongoError

from persistence import clock
from tests.cluster.processes import ServerProcess
from tests.cluster.replicas import BEAT_SECONDS, Cluster
from tests.monkey.history import UNWRITTEN_SECONDS, History
from tests.monkey.servers import LOOK_SECONDS, Servers
from tests.replica_set import Mongod

# mongod dies with the thread that started it, so that must not be one of the event loop's own.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="mongod")
LEASES = {"EG_LEASE_DURATION": "2", "EG_RENEW_DEADLINE": "1.2", "EG_OPERATION_TIMEOUT": "0.5"}
"""Short, so that much happens in a minute."""
HELD_FOR_DEAD_SECONDS = float(LEASES["EG_LEASE_DURATION"]) - BEAT_SECONDS
"""How long a replica may be quiet, and is still taken for alive: it may have beaten an interval before."""
INTERVAL_SECONDS = 1.0
REST_SECONDS = 1.0
NO_START = "The gateway can't start: "
NO_START_CHARS = 500
NOBODY = "there is none"
WRITES = ("update", "insert", "findAndModify")

MOST_TAKEN = 2
"""How many of the replicas do not serve their clients at a time."""


class Fault(Protocol):
    """What is done to a replica, by its number, or to what it works with; tells to whom it was done."""

    __name__: str

    def __call__(self, mischief: Mischief, chance: random.Random, victim: int, /) -> Awaitable[str]: ...


class Mischief:
    """Faults on replicas and their database.

    Args:
        cluster: Its replicas, each behind a proxy to the database of its own.
        servers: The database.
        history: Told of kernels that are killed, and of replicas that die or are held for dead.
        seed: Each fault, its victim and how long it lasts are drawn from the seed and its number.

    Attributes:
        done: How often each fault was done to somebody, from its beginning to its end.
        skipped: How often there was nobody to do one to.
    """

    def __init__(self, cluster: Cluster, servers: Servers, history: History, seed: int) -> None:
        self._history = history
        self._cluster = cluster
        self._servers = servers
        self._proxies = servers.proxies
        self._seed = seed
        self._began = clock.monotonic()
        self._hurt: dict[int, Fault] = {}
        self._away_since: float | None = None
        self.done: Counter[str] = Counter()
        self.skipped = 0

    async def work(self, until: Callable[[], bool]) -> None:
        """Begin a fault each second until told to stop, and print each; return when all are over."""
        async with asyncio.TaskGroup() as both:
            following = both.create_task(self._servers.follow())
            async with asyncio.TaskGroup() as faults:
                for number in count():
                    if until():
                        break
                    faults.create_task(self._one(random.Random(f"{self._seed} {number}")))
                    await clock.sleep(INTERVAL_SECONDS)
            following.cancel()

    async def _one(self, chance: random.Random) -> None:
        fault, victim = self._draw(chance)
        if fault is None:
            self.skipped += 1
            return
        began, told = self._elapsed_seconds, "…"
        self._begins(fault, victim)
        try:
            told = await fault(self, chance, victim)
            if told != NOBODY:
                self.done[fault.__name__] += 1
        finally:
            print(f"{began:.1f} to {self._elapsed_seconds:.1f} s: {fault.__name__} ({told})")
        await clock.sleep(REST_SECONDS)
        self._is_over(fault, victim)

    def _draw(self, chance: random.Random) -> tuple[Fault | None, int]:
        """Draw a fault and a victim; where nobody is free for it another one, on a replica."""
        first, *others = chance.sample(FAULTS, len(FAULTS))
        for fault in (first, *(other for other in others if other in ON_REPLICAS)):
            if victims := self._victims(fault):
                return fault, chance.choice(victims)
        return None, 0

    def _victims(self, fault: Fault) -> Sequence[int]:
        """The replicas to which this may be done now; any number where it is not done to a replica."""
        if fault is Mischief.kill_a_kernel:
            return [0]
        if fault in ON_THE_DATABASE:
            cut_off = any(each in ON_LINKS for each in self._hurt.values())
            alone = fault is Mischief.step_down and len(self._servers.members) == 1
            return [] if self._away_since is not None or cut_off or alone else [0]
        taken = [each for each in self._hurt.values() if each in TAKE_AWAY]
        if (fault in ON_LINKS and self._away_since is not None) or (fault in TAKE_AWAY and len(taken) == MOST_TAKEN):
            return []
        return [index for index in range(len(self._cluster.replicas)) if index not in self._hurt]

    def _begins(self, fault: Fault, victim: int) -> None:
        if fault in ON_THE_DATABASE:
            self._away_since = clock.monotonic()
        elif fault is not Mischief.kill_a_kernel:
            self._hurt[victim] = fault

    def _is_over(self, fault: Fault, victim: int) -> None:
        if fault in ON_THE_DATABASE:
            self._away_since = None
        elif fault is not Mischief.kill_a_kernel:
            del self._hurt[victim]

    async def kill_a_replica(self, _chance: random.Random, victim: int) -> str:
        """kill -9, and a new one in its place."""
        replica = self._cluster.replicas[victim]
        self._history.dies(replica.url, self._unwritten_seconds)
        replica.kill()
        await self._again(victim)
        return replica.name

    async def stop_a_replica(self, _chance: random.Random, victim: int) -> str:
        """SIGTERM: it drains, and ends well."""
        replica = self._cluster.replicas[victim]
        code = await asyncio.to_thread(replica.stop)
        assert code == 0, f"a drain ended with {code}"
        await self._again(victim)
        return replica.name

    async def pause_a_replica(self, chance: random.Random, victim: int) -> str:
        """Pause it for less or more than a lease."""
        replica = self._cluster.replicas[victim]
        seconds = chance.uniform(0.5, 4.0)
        replica.signal(signal.SIGSTOP)
        if seconds > HELD_FOR_DEAD_SECONDS:
            self._history.dies(replica.url, self._unwritten_seconds)
        await clock.sleep(seconds)
        replica.signal(signal.SIGCONT)
        return replica.name

    async def kill_a_kernel(self, chance: random.Random, _victim: int) -> str:
        """Its owner, or the next one, restarts it."""
        processes = self._cluster.kernel_processes()
        if not processes:
            return NOBODY
        process = chance.choice(processes)
        self._history.killed(process.kernel_id)
        process.kill()
        return f"{process.kernel_id}, generation {process.generation}"

    async def pause_the_database(self, chance: random.Random, _victim: int) -> str:
        """The primary's connections stand, and nothing is answered. Where there are others, one of them leads then."""
        member = self._primary(chance)
        member.pause()
        await clock.sleep(chance.uniform(0.2, 3.0))
        member.resume()
        await self._has_a_primary()
        return member.host

    async def kill_the_database(self, chance: random.Random, _victim: int) -> str:
        """A crash of the primary, and a start with what was acknowledged."""
        member = self._primary(chance)
        member.kill()
        await clock.sleep(chance.uniform(0.0, 1.0))
        await asyncio.get_running_loop().run_in_executor(_STARTER, member.start)
        await self._has_a_primary()
        return member.host

    async def step_down(self, chance: random.Random, _victim: int) -> str:
        """The primary hands over to another member, if one has caught up."""
        member = self._primary(chance)
        try:
            await asyncio.to_thread(member.step_down)
        except PyMongoError as error:
            return f"{member.host} does not: {type(error).__name__}"
        await self._has_a_primary()
        return member.host

    async def cut_connections(self, _chance: random.Random, victim: int) -> str:
        """All connections of one replica to the database."""
        self._proxies[victim].cut()
        return self._cluster.replicas[victim].name

    async def delay_answers(self, chance: random.Random, victim: int) -> str:
        """Each answer comes late: some within the operation timeout, some not."""
        replica = self._cluster.replicas[victim]
        self._proxies[victim].delay(chance.uniform(0.05, 0.7))
        await self._cut_off(replica, chance.uniform(0.5, 2.0))
        self._proxies[victim].pass_on()
        return replica.name

    async def swallow_everything(self, chance: random.Random, victim: int) -> str:
        """One replica is cut off, without a sign."""
        replica = self._cluster.replicas[victim]
        self._proxies[victim].swallow()
        await self._cut_off(replica, chance.uniform(0.2, 3.0))
        self._proxies[victim].pass_on()
        return replica.name

    async def lose_answers(self, chance: random.Random, victim: int) -> str:
        """Writes are made, and nobody is told."""
        proxy = self._proxies[victim]
        proxy.lose_answers(lambda command: next(iter(command), "") in WRITES, times=chance.randint(1, 5))
        await clock.sleep(chance.uniform(0.2, 1.0))
        proxy.pass_on()
        return self._cluster.replicas[victim].name

    @property
    def _elapsed_seconds(self) -> float:
        return clock.monotonic() - self._began

    @property
    def _unwritten_seconds(self) -> float:
        """What a replica that dies now may not have written: nothing reaches a database that is away."""
        return UNWRITTEN_SECONDS + (0.0 if self._away_since is None else clock.monotonic() - self._away_since)

    def _primary(self, chance: random.Random) -> Mongod:
        return self._servers.primary or chance.choice(self._servers.members)

    async def _has_a_primary(self) -> None:
        while self._servers.primary is None:
            await clock.sleep(LOOK_SECONDS)

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


ON_LINKS: tuple[Fault, ...] = (
    Mischief.cut_connections,
    Mischief.delay_answers,
    Mischief.swallow_everything,
    Mischief.lose_answers,
)
ON_REPLICAS: tuple[Fault, ...] = (
    Mischief.kill_a_replica,
    Mischief.stop_a_replica,
    Mischief.pause_a_replica,
    *ON_LINKS,
)
TAKE_AWAY = (*ON_REPLICAS[:3], Mischief.swallow_everything)
ON_THE_DATABASE: tuple[Fault, ...] = (Mischief.pause_the_database, Mischief.kill_the_database, Mischief.step_down)
OFTEN: tuple[Fault, ...] = (*ON_REPLICAS, Mischief.kill_a_kernel)
FAULTS = (*OFTEN, *OFTEN, *ON_THE_DATABASE)
"""To be drawn from: the database is away long enough as it is."""
