"""A gateway that answers a start before the kernel is up: what its clients send at once is not lost."""

from __future__ import annotations

from tests.cluster.conftest import MakeCluster
from tests.cluster.rest import Rest
from tests.cluster.test_takeover import NEVER_READY, install_kernel_that_is_never_ready


async def test_a_client_may_come_before_its_kernel_is_up(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(EG_ANSWER_BEFORE_READY="true")
    cluster.start(2)
    async with Rest(cluster.urls, cluster.token) as rest:
        model = (await rest.post("/api/kernels", {"name": "python3"}, on=0)).json()
        assert model["execution_state"] == "starting"
        for on in (0, 1):  # the second replica's clients hear of the kernel when it is up
            assert await rest.run(model["id"], "print(6 * 7)", on=on) == "42"
        await rest.delete(f"/api/kernels/{model['id']}")


async def test_a_client_of_a_kernel_that_does_not_come_up_is_told_dead(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(EG_ANSWER_BEFORE_READY="true")
    install_kernel_that_is_never_ready(cluster)
    cluster.start(2)
    async with Rest(cluster.urls, cluster.token) as rest:
        body = {"name": NEVER_READY, "env": {"KERNEL_LAUNCH_TIMEOUT": "8"}}  # its clients come before that
        kernel_id = (await rest.post("/api/kernels", body, on=0)).json()["id"]
        async with await rest.open(kernel_id, on=0) as here, await rest.open(kernel_id, on=1) as elsewhere:
            for kernel in (here, elsewhere):
                await kernel.until_state("dead")
        await rest.get(f"/api/kernels/{kernel_id}", on=1, expect=404)
    assert not cluster.kernel_processes()
    assert "did not answer" in cluster.document(kernel_id)["reason"]
