"""One client's session, one kernel, several replicas: every order of what may happen, one step at a time.

The sessions are the gateway's own; channels, network, database and client are made here, and each waits until it is
chosen. What the kernel publishes arrives at each replica by itself, but who hands over has read all of it. The kernel
sends messages on IOPub, then its reply to the DEALER whose handshake it saw last. As in the model of
the protocol, what a socket that is gone was given before that was noticed is lost, and so is what a killed replica, or
one that gave no answer in time, had kept.

A client may also open a WebSocket that it gives up without closing it: what that one gets is lost. Its cell, which it
sends at some time, must run and be answered all the same.
"""

from __future__ import annotations

import random

from tests.relay.stepped_world import Scenario, World


async def every_order(scenario: Scenario, *, most: int) -> int:
    """Run a scenario in every order of its steps; returns how many there were.

    Raises:
        Broken: A promise was not kept in one of them.
    """
    choices: list[int] = []
    for run in range(1, most + 1):
        made: list[tuple[int, int]] = []

        def choose(count: int, planned: list[int] = choices, made: list[tuple[int, int]] = made) -> int:
            choice = planned[len(made)] if len(made) < len(planned) else 0
            made.append((choice, count))
            return choice

        await World(scenario, choose).run()
        while made and made[-1][0] + 1 == made[-1][1]:
            made.pop()
        if not made:
            return run
        choices = [choice for choice, _ in made]
        choices[-1] += 1
    raise AssertionError(f"more than {most} orders")


async def some_orders(scenario: Scenario, *, seed: int, runs: int) -> None:
    """Run a scenario in orders that are drawn at random.

    Raises:
        Broken: A promise was not kept in one of them.
    """
    chance = random.Random(seed)
    for _ in range(runs):
        await World(scenario, chance.randrange).run()
