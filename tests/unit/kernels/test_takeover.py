from __future__ import annotations

import pytest

from enterprise_gateway.kernels.takeover import limit_seconds
from persistence.documents import KernelNotice
from tests.records import queued_kernel, request


@pytest.mark.parametrize(
    ("phase", "seconds"), [("queued", 80.0), ("launching", 80.0), ("stopping", 20.0), ("restarting", 100.0)]
)
def test_an_act_may_take_twice_as_long_as_all_that_it_does(phase: str, seconds: float) -> None:
    record = queued_kernel(phase=phase, request=request(launch_timeout_seconds=40.0))
    notice = KernelNotice.from_document(record.to_document())
    assert limit_seconds(record, 20.0) == limit_seconds(notice, 20.0) == seconds
