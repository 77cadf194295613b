from __future__ import annotations

from culling.settling import Settling
from persistence.documents import ReplicaState
from tests.records import replica


def test_at_first_nobody_has_had_the_time() -> None:
    assert not Settling().settled([replica("r1", beat=100)])


def test_when_each_has_beaten_twice_it_is_settled() -> None:
    settling = Settling()
    settling.settled([replica("r1", beat=5), replica("r2", beat=9)])
    assert not settling.settled([replica("r1", beat=7), replica("r2", beat=10)])
    assert settling.settled([replica("r1", beat=7), replica("r2", beat=11)])


def test_the_dead_are_not_waited_for() -> None:
    settling = Settling()
    settling.settled([replica("r1", beat=5), replica("r2", beat=9)])
    assert settling.settled([replica("r1", beat=7), replica("r2", beat=9, state=ReplicaState.DEAD)])


def test_one_that_comes_is_waited_for() -> None:
    settling = Settling()
    settling.settled([replica("r1", beat=5)])
    assert not settling.settled([replica("r1", beat=7), replica("r2", beat=0)])
    assert settling.settled([replica("r1", beat=9), replica("r2", beat=2)])


def test_started_anew_all_have_to_beat_again() -> None:
    settling = Settling()
    settling.settled([replica("r1", beat=5)])
    assert settling.settled([replica("r1", beat=7)])
    settling.restart()
    assert not settling.settled([replica("r1", beat=8)])
