import pytest

from persistence.embedded.replica import _pause_seconds


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0), (1, 0), (2, 1), (3, 2), (6, 16), (7, 30), (5000, 30)])
def test_a_mongod_that_dies_again_and_again_is_started_ever_more_rarely(failures: int, seconds: float) -> None:
    assert _pause_seconds(failures) == seconds
