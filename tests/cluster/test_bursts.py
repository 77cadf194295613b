"""What an ipykernel sends in one go arrives whole, on whichever replica, and whichever has started it."""

from __future__ import annotations

from tests.cluster.conftest import MakeCluster
from tests.cluster.kernel_socket import KernelSocket
from tests.cluster.rest import Rest
from tests.relay.test_ipykernel import AT_ONCE, BURST


async def test_a_burst_of_output_arrives_whole_on_each_replica_also_after_a_restart(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    first, second = cluster.start(2)
    async with Rest([first.url], cluster.token) as rest:
        kernel_id = await rest.start()
        for replica in (first, second):
            assert await burst(f"{replica.url}/api/kernels/{kernel_id}/channels", cluster.token) == AT_ONCE
        await rest.post(f"/api/kernels/{kernel_id}/restart", expect=200)
        assert await burst(f"{second.url}/api/kernels/{kernel_id}/channels", cluster.token) == AT_ONCE


async def burst(url: str, token: str) -> int:
    """Have the kernel send all at once; count what arrives."""
    async with await KernelSocket.open(url, token=token) as kernel:
        return (await kernel.execute(BURST)).stream("stdout").count("\n")
