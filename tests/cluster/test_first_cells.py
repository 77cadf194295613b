"""What an ipykernel is asked to do when it has started: keep what it sends in one go, and end soon."""

from __future__ import annotations

import pytest

from tests.cluster.conftest import MakeCluster
from tests.cluster.kernel_socket import KernelSocket
from tests.cluster.rest import Rest
from tests.relay.test_ipykernel import AT_ONCE, BURST, SEARCHED


async def test_a_burst_of_output_arrives_whole_on_each_replica_also_after_a_restart(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    first, second = cluster.start(2)
    async with Rest([first.url], cluster.token) as rest:
        kernel_id = await rest.start()
        for replica in (first, second):
            assert await burst(f"{replica.url}/api/kernels/{kernel_id}/channels", cluster.token) == AT_ONCE
        await rest.post(f"/api/kernels/{kernel_id}/restart", expect=200)
        assert await burst(f"{second.url}/api/kernels/{kernel_id}/channels", cluster.token) == AT_ONCE


@pytest.mark.parametrize("wanted", [True, False])
async def test_what_makes_a_kernels_end_short_is_done_where_it_is_wanted(
    make_cluster: MakeCluster, wanted: bool
) -> None:
    cluster = make_cluster(EG_KERNEL_GC_FREEZE=str(wanted), EG_KERNEL_QUICK_END=str(wanted))
    (replica,) = cluster.start()
    async with Rest([replica.url], cluster.token) as rest:
        kernel_id = await rest.start()
        assert await rest.run(kernel_id, "import gc; print(gc.get_freeze_count() > 1_000)") == str(wanted)
        assert await rest.run(kernel_id, SEARCHED) == f"[]\n{not wanted}"


async def burst(url: str, token: str) -> int:
    """Have the kernel send all at once; count what arrives."""
    async with await KernelSocket.open(url, token=token) as kernel:
        return (await kernel.execute(BURST)).stream("stdout").count("\n")
