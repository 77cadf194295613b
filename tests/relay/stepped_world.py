"""The world that the stepped sessions live in: what may happen next, and whether all promises are kept."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import cast
from unittest import mock

from enterprise_gateway.relay import presence, succession
from enterprise_gateway.relay.buffer import BufferBudget
from enterprise_gateway.relay.claims import FRESH_SECONDS, Claim, Former
from enterprise_gateway.relay.handover import Handover
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.outbox import Outgoing
from enterprise_gateway.relay.sessions import Sessions
from enterprise_gateway.relay.sockets import KernelLink
from persistence import clock
from tests.relay.stepped_parts import KEY, SEEN, STEPS_A_SECOND, TURNS, Channels, HeardKernel, Outlet, Replica


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What may happen, and how often."""

    replicas: int = 2
    reconnects: int = 1
    messages: int = 2
    silences: int = 0  # answers that are given and don't arrive in time
    untold: int = 0  # connections that don't hear in time that they have a successor
    kills: int = 0
    stale: bool = False  # does every connection look again before it makes its DEALERs?
    prompt: bool = False  # has a replica heard what a client that comes to it has got elsewhere?
    twins: int = 0  # WebSockets that the client opens and gives up, and which stay open
    silent: bool = False  # does the client send its cell at some time, and not at once?
    prints: bool = False  # is all that the kernel publishes output of that cell?
    pauses: bool = False  # may the kernel see DEALERs in another order than they were made in?


class Broken(AssertionError):
    """A promise was not kept; says after which steps."""


class World:
    """All of it. `outlet` is the client's present WebSocket, `owner` has the identity for the kernel."""

    def __init__(self, scenario: Scenario, choose: Callable[[int], int]) -> None:
        self.scenario = scenario
        self.outlet: Outlet | None = None
        self.owner: Channels | None = None
        self.got: list[str] = []
        self.lost: set[str] = set()
        self.trace: list[str] = []
        self._broken: str | None = None
        self._choose = choose
        self.now = 0
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._count = 0
        self._sent = 0
        self._hold: Former | None = None
        self._spoke = False
        self._asked = False  # is the kernel at work on the client's cell?
        self._before = scenario.messages  # how many messages came before that
        self._twins = scenario.twins
        self._hanging: list[Outlet] = []  # that the client has left, and nobody has noticed
        self._reconnects = scenario.reconnects
        self._silences = scenario.silences
        self._untold = scenario.untold
        self._kills = scenario.kills
        self.replicas = [self._replica(number) for number in range(scenario.replicas)]

    # Steps

    async def step(self, what: str) -> None:
        """Wait until this is what happens next."""
        self._count += 1
        label = f"{what} ({self._count})"
        waiting = self._waiting[label] = asyncio.get_running_loop().create_future()
        try:
            await waiting
        finally:
            self._waiting.pop(label, None)

    async def run(self) -> None:
        """Let things happen until nothing can any more, and see whether all is well."""
        with (
            mock.patch.object(clock, "monotonic", self._monotonic),
            mock.patch.object(succession, "UNDER_WAY_SECONDS", 0.0),
            mock.patch.object(presence, "SPEAK_SECONDS", 0.0),
        ):
            await self._run()

    def _monotonic(self) -> float:
        return self.now / STEPS_A_SECOND

    async def _run(self) -> None:
        self._connect(self.replicas[0])
        assert self.outlet is not None
        await self._settle()
        while self._waiting:  # its DEALER stands before it sends anything
            for waiting in self._waiting.values():
                waiting.set_result(None)
            await self._settle()
        if not self.scenario.silent:
            self.outlet.speak()
        while options := list(self._options()):
            label, act = options[self._choose(len(options))]
            self.trace.append(label)
            self.now += 1
            act()
            await self._settle()
        self._check()
        for replica in self.replicas:
            replica.sessions.end_all()
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(TURNS):
            await clock.sleep(0)
        if self._broken is not None:
            raise Broken(self._broken)

    def _options(self) -> Iterator[tuple[str, Callable[[], None]]]:
        seen = [label for label in self._waiting if label.startswith(SEEN)]
        for label, waiting in list(self._waiting.items()):
            if label in seen[1:] and not self.scenario.pauses:
                continue
            yield label, lambda waiting=waiting: waiting.set_result(None)  # type: ignore[misc]
        for replica in self._alive():
            if replica.arriving:
                yield f"{replica.name} hears it", replica.hear
        if self._sent < self.scenario.messages and (self._asked or not self.scenario.prints):
            yield f"the kernel publishes {self._sent + 1}", self._publish
        elif self._sent == self.scenario.messages and self._asked:
            yield "the kernel replies", self._reply
        if self.outlet is not None and self.scenario.silent and not self._spoke:
            yield "the client sends its cell", self._speak
        if self._twins:
            for replica in self._alive():
                if self.outlet is None or self.outlet.session._siblings is not replica.sessions:
                    label = f"a WebSocket that is given up opens on {replica.name}"
                    yield label, lambda replica=replica: self._give_up(replica)  # type: ignore[misc]
        if self.outlet is not None and self._reconnects:
            yield "the client goes", self._go
        if self.outlet is None:
            for replica in self._alive():
                yield f"the client comes to {replica.name}", lambda replica=replica: self._connect(replica)  # type: ignore[misc]
        for outlet in self._hanging:
            yield "it is noticed that the client went", lambda outlet=outlet: self._notice(outlet)  # type: ignore[misc]
        if self._kills:
            for replica in self._alive():
                yield f"{replica.name} is killed", lambda replica=replica: self._kill(replica)  # type: ignore[misc]

    def _alive(self) -> list[Replica]:
        return [replica for replica in self.replicas if not replica.killed]

    # The kernel

    def _publish(self) -> None:
        self._sent += 1
        name = str(self._sent)
        parts = [
            json.dumps({"msg_type": "stream", "msg_id": name}).encode(),
            b"{}",
            b"{}",
            json.dumps({"name": name}).encode(),
        ]
        for replica in self._alive():
            replica.arriving.append(Outgoing("iopub", parts))

    def _reply(self) -> None:
        self._sent += 1
        if self.owner is not None:  # else it is lost
            self.owner.receive("reply")

    def ask(self, channels: Channels) -> None:
        """The client's cell goes by these DEALERs."""
        if self.owner is channels:
            self._asked, self._before = True, self._sent
        else:
            self._fail("the cell is lost: other DEALERs have the identity")

    def of_cell(self, name: str) -> bool:
        """Does this belong to the client's cell?"""
        return name == "reply" or int(name) > self._before

    # The client

    def _speak(self) -> None:
        assert self.outlet is not None
        self._spoke = True
        self.outlet.speak()

    def _give_up(self, replica: Replica) -> None:
        self._twins -= 1
        if self.outlet is None:
            self._lose_everything()
        self._attach(replica, given_up=True)

    def deliver(self, names: list[str]) -> None:
        self.got += names
        if len(set(self.got)) != len(self.got):
            self._fail(f"delivered twice: {self.got}")
        published = [name for name in self.got if name != "reply"]
        if published != sorted(published, key=int):
            self._fail(f"delivered out of order: {self.got}")

    def _name(self, message: Outgoing) -> str:
        return str(json.loads(bytes(message.parts[3]))["name"])

    def _go(self) -> None:
        assert self.outlet is not None
        self._reconnects -= 1
        self._hanging.append(self.outlet)
        self.outlet = None

    def _notice(self, outlet: Outlet) -> None:
        self._hanging.remove(outlet)
        outlet.session.detach(outlet)

    def _connect(self, replica: Replica) -> None:
        while self.scenario.prompt and any(self._name(message) in self.got for message in replica.arriving):
            replica.hear()
            self.now += 1
        self.outlet = self._attach(replica)

    def _attach(self, replica: Replica, *, given_up: bool = False) -> Outlet:
        newest = self._newest(replica.name)
        place = self.claim(replica.name) if newest is None or newest.here else newest
        opened = replica.sessions.open(KEY, place)
        outlet = Outlet(self, opened, given_up)
        opened.attach(outlet)
        return outlet

    # The database

    def _newest(self, replica: str) -> Former | None:
        return None if self._hold is None else self._hold._replace(here=self._hold.replica == replica)

    def claim(self, replica: str, after: Former | None = None) -> Claim | Former:
        """Make a connection of this replica the newest, unless another one than `after` is."""
        former = self._newest(replica)
        if former is not None and after not in (None, former):
            return former
        self._hold = Former(replica, 1 if former is None else former.n + 1, here=False)
        fresh = 0.0 if self.scenario.stale else FRESH_SECONDS
        return Claim(n=self._hold.n, former=former, fresh=clock.Deadline(fresh))

    # The other replicas

    def _replica(self, number: int) -> Replica:
        kernel = HeardKernel(self)
        made = Sessions(
            kernel,
            reconnects=Wire(self, f"R{number}"),
            budget=BufferBudget(1_000_000),
            options=RelayOptions(),
            log=logging.getLogger("interleavings"),
            make_channels=lambda **options: Channels(self, **options),
        )
        made.join(cast(KernelLink, SimpleNamespace(hands_over=True)))
        return Replica(number, made, kernel)

    async def admits(self, asker: str, former: Former) -> bool:
        await self.step(f"{asker} asks {former.replica} whether it lets it in after {former.n}")
        replica = next(one for one in self.replicas if one.name == former.replica)
        admitted = replica.killed or await replica.sessions.admit(KEY, former.n, 1_000.0) is not False
        await self.step(f"{former.replica} answers {asker}: {admitted}")
        return admitted

    async def supersede(self, asker: str, former: Former) -> bool:
        await self.step(f"{asker} tells {former.replica} that {former.n} is superseded")
        replica = next(one for one in self.replicas if one.name == former.replica)
        if replica.killed:
            return False
        if self._untold and self._choose(2):
            self._untold -= 1
            self.trace.append("it does not hear of it in time")
            self.lost |= {"reply"}
            return False
        told = await replica.sessions.supersede(KEY, former.n, 1_000.0)
        await self.step(f"{former.replica} answers {asker} that {former.n} gave way: {told}")
        return told is not False

    async def fetch(self, asker: str, former: Former) -> Handover | None:
        await self.step(f"{asker} asks {former.replica} for connection {former.n}")
        replica = next(one for one in self.replicas if one.name == former.replica)
        while replica.arriving:
            replica.hear()
        given = None if replica.killed else await replica.sessions.give(KEY, former.n, 1_000.0)
        if self._silences and given is not None and self._choose(2):
            self._silences -= 1
            self.trace.append("the answer does not arrive in time")
            self._lose_everything()
            return None
        given_at = clock.monotonic()
        await self.step(f"{former.replica} answers {asker}")
        if given is None:
            return None
        took = clock.monotonic() - given_at  # the network takes no time to speak of
        return replace(given, recent={name: seconds + took for name, seconds in given.recent.items()})

    def _kill(self, replica: Replica) -> None:
        self._kills -= 1
        replica.killed = True
        replica.sessions.end_all()
        self._hanging = [outlet for outlet in self._hanging if not outlet.session.over]
        if self.outlet is not None and self.outlet.session.over:
            self.outlet = None
        self._lose_everything()

    def _lose_everything(self) -> None:
        self.lost |= {*map(str, range(1, self.scenario.messages + 1)), "reply"}

    def _check(self) -> None:
        if self.outlet is None:
            return
        sent = [*map(str, range(1, self.scenario.messages + 1)), "reply"]
        missing = [name for name in sent if name not in self.got and name not in self.lost]
        if missing:
            self._fail(f"lost with every replica up: {missing}")
        if self.outlet.session.superseded or self.owner is not self.outlet.session._channels:
            self._fail("the client is deaf")

    def _fail(self, what: str) -> None:
        # Not raised here: whoever delivers may be a task of which nobody asks how it ended.
        self._broken = self._broken or "\n  ".join([what, *self.trace])


class Wire:
    """What one replica asks the database and the others."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name

    async def claim(self, key: str, *, after: Former | None = None) -> Claim | Former | None:
        await self._world.step(f"{self._name} is recorded")
        return self._world.claim(self._name, after)

    async def admits(self, key: str, former: Former) -> bool:
        return await self._world.admits(self._name, former)

    async def supersede(self, key: str, former: Former, seconds: float) -> bool:
        return await self._world.supersede(self._name, former)

    async def newest(self, key: str, n: int) -> bool | None:
        await self._world.step(f"{self._name} reads whether {n} is the newest")
        assert self._world._hold is not None
        return self._world._hold.n == n

    async def fetch(self, key: str, former: Former, seconds: float) -> Handover | None:
        return await self._world.fetch(self._name, former)
