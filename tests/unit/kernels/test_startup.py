from __future__ import annotations

import pytest

from enterprise_gateway.kernels.startup import too_late


@pytest.mark.parametrize(("seconds", "said"), [(0.3, "within 0.3 s,"), (60.0, "within 60 s,")])
def test_a_kernel_that_is_too_late_is_told_how_long_it_had(seconds: float, said: str) -> None:
    error = too_late(seconds)
    assert error.status == 504
    assert said in error.message
