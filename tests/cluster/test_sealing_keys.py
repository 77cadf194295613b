"""A replica that lacks the key of a kernel's secrets: it says so, and does the kernel no harm."""

from __future__ import annotations

from cryptography.fernet import Fernet

from tests.cluster.conftest import MakeCluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually


async def test_a_replica_without_a_kernels_key_leaves_it_alone_and_has_it_ended_by_one_that_has_it(
    make_cluster: MakeCluster,
) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    cluster = make_cluster()
    (first,) = cluster.start(settings={"EG_SEALING_KEYS": old})
    async with Rest(cluster.urls, cluster.token) as rest:
        kernel_id = await rest.start()
        await rest.run(kernel_id, "x = 'kept'")
    assert first.stop() == 0
    cluster.start(settings={"EG_SEALING_KEYS": f"{new},{old}"})
    cluster.start(settings={"EG_SEALING_KEYS": new})
    async with Rest(cluster.urls, cluster.token) as rest:
        assert await rest.run(kernel_id, "print(x)", on=0) == "kept"
        refused = await rest.request("POST", f"/api/kernels/{kernel_id}/restart", on=1, body={})
        assert refused.status_code == 503
        assert "EG_SEALING_KEYS" in refused.json()["message"]
        assert await rest.run(kernel_id, "print(x)", on=0) == "kept"
        await rest.delete(f"/api/kernels/{kernel_id}", on=1)
        await rest.get(f"/api/kernels/{kernel_id}", on=1, expect=404)
    await eventually(lambda: not cluster.kernel_processes(), "its process has ended")
