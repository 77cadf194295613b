from __future__ import annotations

from culling.vouching import Vouching, beats_of
from persistence.documents import KernelCandidate, ReplicaState
from tests.records import replica, running_kernel


def due(kernel_id: str = "k1", *, seq: int = 0) -> KernelCandidate:
    return KernelCandidate.from_document(running_kernel(kernel_id, activity_seq=seq).to_document())


def test_at_first_nobody_has_had_the_time() -> None:
    assert not Vouching().vouched(due(), {"r1": 100})


def test_when_each_has_beaten_twice_all_is_written() -> None:
    vouching = Vouching()
    vouching.vouched(due(), {"r1": 5, "r2": 9})
    assert not vouching.vouched(due(), {"r1": 7, "r2": 10})
    assert vouching.vouched(due(), {"r1": 7, "r2": 11})


def test_the_dead_are_not_waited_for() -> None:
    vouching = Vouching()
    vouching.vouched(due(), {"r1": 5, "r2": 9})
    assert vouching.vouched(due(), {"r1": 7})


def test_one_that_comes_is_waited_for() -> None:
    vouching = Vouching()
    vouching.vouched(due(), {"r1": 5})
    assert not vouching.vouched(due(), {"r1": 7, "r2": 0})
    assert vouching.vouched(due(), {"r1": 9, "r2": 2})


def test_a_kernel_that_has_changed_is_due_anew() -> None:
    vouching = Vouching()
    vouching.vouched(due(), {"r1": 5})
    assert not vouching.vouched(due(seq=1), {"r1": 7})
    assert vouching.vouched(due(seq=1), {"r1": 9})


def test_each_kernel_waits_by_itself() -> None:
    vouching = Vouching()
    vouching.vouched(due("k1"), {"r1": 5})
    vouching.vouched(due("k2"), {"r1": 6})
    assert vouching.vouched(due("k1"), {"r1": 7})
    assert not vouching.vouched(due("k2"), {"r1": 7})


def test_what_is_not_due_any_more_is_forgotten() -> None:
    vouching = Vouching()
    vouching.vouched(due("k1"), {"r1": 5})
    vouching.keep({"k2"})
    assert not vouching.vouched(due("k1"), {"r1": 7})


def test_started_anew_all_have_to_beat_again() -> None:
    vouching = Vouching()
    vouching.vouched(due(), {"r1": 5})
    vouching.restart()
    assert not vouching.vouched(due(), {"r1": 7})


def test_the_beats_of_the_dead_are_none() -> None:
    assert beats_of([replica("r1", beat=5), replica("r2", beat=9, state=ReplicaState.DEAD)]) == {"r1": 5}
