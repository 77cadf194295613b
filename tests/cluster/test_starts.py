"""Many starts at once: each is served, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import json
import shutil

from tests.cluster import light_kernels
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

STARTS = 30
SETTINGS = {"EG_KERNEL_LAUNCH_TIMEOUT": "170"}


async def test_kernelspecs_and_lists_are_answered_while_thirty_kernels_start(rest: Rest, trio: Cluster) -> None:
    starts = asyncio.gather(*(rest.start(on=0) for _ in range(STARTS)))
    answered = 0
    while not starts.done():
        assert "python3" in (await rest.get("/api/kernelspecs", on=0))["kernelspecs"]
        assert len(await rest.listed(on=0)) <= STARTS
        answered += 1
    assert len(set(await starts)) == STARTS
    assert answered > STARTS
    assert len(trio.kernel_processes()) == STARTS


async def test_a_start_that_can_not_succeed_says_why_at_once(rest: Rest) -> None:
    unknown = await rest.request("POST", "/api/kernels", body={"name": "no-such-kernel"})
    assert unknown.status_code in (400, 404)
    assert "no-such-kernel" in unknown.json()["message"]


async def test_variables_that_a_shell_takes_for_its_own_reach_the_kernel(rest: Rest, trio: Cluster) -> None:
    light_kernels.install_light(trio, "shelly", env={"OPTIND": "mine", "IFS": "mine", "PPID": "mine"})
    kernel_id = await rest.start(name="shelly")
    code = "import os; print([os.environ[name] for name in ('OPTIND', 'IFS', 'PPID')])"
    assert await rest.run(kernel_id, code) == "['mine', 'mine', 'mine']"


async def test_an_environment_that_is_too_long_for_linux_is_refused(rest: Rest) -> None:
    env = {f"KERNEL_{number}": "x" * 100_000 for number in range(30)}
    refused = await rest.request("POST", "/api/kernels", body={"env": env})
    assert (refused.status_code, refused.json()["reason"]) == (400, "Environment too long")


async def test_a_kernelspec_for_remote_kernels_is_refused(rest: Rest, trio: Cluster) -> None:
    folder = trio.folder / ".local/share/jupyter/kernels/remote"
    folder.mkdir(parents=True)
    proxy = {"class_name": "enterprise_gateway.services.processproxies.k8s.KubernetesProcessProxy"}
    spec = {"argv": ["x"], "display_name": "remote", "language": "python", "metadata": {"process_proxy": proxy}}
    (folder / "kernel.json").write_text(json.dumps(spec))
    refused = await rest.request("POST", "/api/kernels", body={"name": "remote"})
    assert (refused.status_code, refused.json()["reason"]) == (400, "Kernelspec not supported")
    assert "KubernetesProcessProxy" in refused.json()["message"]


async def test_what_a_kernel_writes_while_it_starts_is_bounded(rest: Rest, trio: Cluster) -> None:
    folder = trio.folder / ".local/share/jupyter/kernels/flood"
    folder.mkdir(parents=True)
    argv = ["/bin/sh", "-c", "head -c 20000000 /dev/zero; exec sleep 1000", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "flood", "language": "sh"}))
    body = {"name": "flood", "env": {"KERNEL_LAUNCH_TIMEOUT": "60"}}
    start = asyncio.ensure_future(rest.request("POST", "/api/kernels", body=body))
    await eventually(lambda: list(trio.folder.rglob("kernel.log.1")), "its output was shortened")
    start.cancel()
    await eventually(lambda: not trio.kernel_processes(), "it is withdrawn")


async def test_where_the_kernels_directory_was_wiped_others_start_and_open_websockets_go_on(
    rest: Rest, trio: Cluster
) -> None:
    before = await rest.start(on=0)
    async with await rest.open(before, on=0) as kernel:
        assert (await kernel.execute("print('before')")).printed().strip() == "before"
        shutil.rmtree(trio.runtime / "k")
        after = await rest.start(on=0)
        assert await rest.run(after, "print('another')") == "another"
        assert (await kernel.execute("print('after')")).printed().strip() == "after"
