"""When nobody was there for an hour: a kernel is judged by when it was really idle, as far as anybody can know that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.world import TIMEOUT, Kernel, World, world

AN_HOUR = 3600.0
ASKED_SECONDS = 40.0  # to lead, to declare the dead dead, to adopt, to ask, to wait for two beats


@pytest.fixture
def w() -> Iterator[World]:
    with world(2) as made:
        yield made


def kernel(w: World, state: str) -> Kernel:
    made = w.start_kernel(w.replicas[0])
    w.work(made, state)
    w.passes(12.0)
    return made


def an_hour_without_replicas(w: World) -> None:
    for replica in w.live:
        w.kill(replica)
    w.passes(AN_HOUR)


def test_one_that_was_idle_is_culled_as_soon_as_it_was_asked(w: World) -> None:
    idle = kernel(w, "idle")
    an_hour_without_replicas(w)
    w.start()
    w.passes(ASKED_SECONDS)
    assert not idle.alive


def test_one_that_works_is_not(w: World) -> None:
    busy = kernel(w, "busy")
    an_hour_without_replicas(w)
    w.start()
    w.passes(4 * TIMEOUT)
    assert busy.alive


def test_one_that_worked_and_is_done_has_its_timeout_from_when_it_was_found_so(w: World) -> None:
    done = kernel(w, "busy")
    an_hour_without_replicas(w)
    w.work(done, "idle")
    w.start()
    w.passes(TIMEOUT - 10.0)
    assert done.alive
    w.passes(ASKED_SECONDS + 20.0)
    assert not done.alive


def test_one_that_is_used_at_once_lives_on(w: World) -> None:
    used = kernel(w, "idle")
    an_hour_without_replicas(w)
    w.use(used, w.start())
    w.passes(ASKED_SECONDS)
    assert used.alive
