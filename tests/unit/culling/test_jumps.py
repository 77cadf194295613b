from __future__ import annotations

from datetime import timedelta

import pytest

from culling.jumps import unknown
from persistence.documents import ClockStep
from tests.records import NOW


def jump(at: float, seconds: float = 30.0, within: float = 5.0) -> ClockStep:
    return ClockStep(seconds=seconds, at=NOW + timedelta(seconds=at), within_seconds=within)


@pytest.mark.parametrize(
    ("seen", "known", "new"),
    [
        pytest.param([jump(0)], [], [0], id="nobody knows it"),
        pytest.param([jump(0)], [jump(0)], [], id="it is written down"),
        pytest.param([jump(0)], [jump(4, 31.0)], [], id="another has seen it a little later, by a little more"),
        pytest.param([jump(40, within=50)], [jump(0)], [], id="it was seen here late"),
        pytest.param([jump(0)], [jump(40, within=50)], [], id="it was seen late where it is known"),
        pytest.param([jump(0)], [jump(0, 40.0)], [0], id="it is another one, of another size"),
        pytest.param([jump(0)], [jump(6)], [0], id="it was not yet when the other was seen"),
        pytest.param([jump(40)], [jump(0)], [0], id="it came after the other was seen"),
        pytest.param([jump(0), jump(4)], [jump(0)], [1], id="one like it came at once after it"),
        pytest.param([jump(0), jump(4)], [jump(1), jump(5)], [], id="both are written down"),
    ],
)
def test_a_jump_is_new_unless_a_known_one_stands_for_it(
    seen: list[ClockStep], known: list[ClockStep], new: list[int]
) -> None:
    assert unknown(seen, known) == [seen[index] for index in new]
