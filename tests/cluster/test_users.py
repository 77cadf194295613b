"""Who may start kernels: the others are refused on every replica, before anything is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster import light_kernels
from tests.cluster.conftest import MakeCluster
from tests.cluster.light_kernels import LIGHT
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest

FOR_GRACE, NOT_FOR_GRACE = "for-grace", "not-for-grace"
SETTINGS = {
    "EG_AUTHORIZED_USERS": "ada,grace,mallory",
    "EG_UNAUTHORIZED_USERS": "mallory",
    "EG_IPC_KERNELSPECS": f"{LIGHT},{FOR_GRACE},{NOT_FOR_GRACE}",
}
NOT_AUTHORIZED = "is not authorized to start kernel"
NOT_IN_THE_SET = "is not in the set of users authorized to start kernel"


@pytest.fixture(scope="module", autouse=True)
def kernelspecs(trio: Cluster) -> None:
    """One that says nothing of users, one that lists who may, one that lists who may not."""
    for name, users in ((FOR_GRACE, {"authorized_users": "grace"}), (NOT_FOR_GRACE, {"unauthorized_users": ["grace"]})):
        metadata = {"kernel_provisioner": {"provisioner_name": "local-provisioner", "config": users}}
        light_kernels.install_light(trio, name, metadata=metadata)


def kernel(name: str, user: str) -> tuple[str, dict[str, Any]]:
    return "/api/kernels", {"name": name, "env": {"KERNEL_USERNAME": user}}


def session(name: str, user: str) -> tuple[str, dict[str, Any]]:
    return "/api/sessions", {"path": f"{user}.ipynb", "type": "notebook", "kernel": kernel(name, user)[1]}


started_by_either = pytest.mark.parametrize("request_of", [kernel, session])
RequestOf = Callable[[str, str], tuple[str, dict[str, Any]]]


def recorded(cluster: Cluster) -> list[dict[str, Any]]:
    return cluster.documents("kernels") + cluster.documents("sessions")


@started_by_either
@pytest.mark.parametrize(
    ("name", "user", "clause"),
    [
        (LIGHT, "mallory", NOT_AUTHORIZED),
        (LIGHT, "eve", NOT_IN_THE_SET),
        (FOR_GRACE, "ada", NOT_IN_THE_SET),
        (FOR_GRACE, "mallory", NOT_AUTHORIZED),
        (NOT_FOR_GRACE, "grace", NOT_AUTHORIZED),
        (NOT_FOR_GRACE, "eve", NOT_IN_THE_SET),
    ],
)
async def test_a_user_whom_a_list_refuses_gets_403_and_leaves_no_record(
    rest: Rest, trio: Cluster, request_of: RequestOf, name: str, user: str, clause: str
) -> None:
    before = {document["_id"] for document in recorded(trio)}
    path, body = request_of(name, user)
    for on in range(3):
        refused = await rest.request("POST", path, body=body, on=on)
        assert (refused.status_code, refused.json()["reason"]) == (403, "User not authorized")
        assert refused.json()["message"].startswith(f"User '{user}' {clause} '{name}'.")
    assert not {document["_id"] for document in recorded(trio)} - before
    assert trio.kernel_processes() == []


@started_by_either
@pytest.mark.parametrize(("name", "user"), [(LIGHT, "ada"), (FOR_GRACE, "grace"), (NOT_FOR_GRACE, "ada")])
async def test_a_user_whom_no_list_refuses_gets_a_kernel(
    rest: Rest, trio: Cluster, request_of: RequestOf, name: str, user: str
) -> None:
    await rest.post(*request_of(name, user))
    (kernel_id,) = await rest.listed()
    assert trio.document(kernel_id)["username"] == user


async def test_an_authorizer_of_ones_own_is_asked_by_a_replica(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(EG_AUTHORIZER_CLASS="tests.fakes.authorizer.ReadOnly", EG_IPC_KERNELSPECS=LIGHT)
    light_kernels.install(cluster)
    cluster.start()
    async with Rest(cluster.urls, cluster.token) as rest:
        assert await rest.get("/api/kernels") == []
        for path, body in (kernel(LIGHT, "ada"), session(LIGHT, "ada")):
            refused = await rest.request("POST", path, body=body)
            resource = path.rpartition("/")[2]
            assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
            assert refused.json()["message"] == f"User is not authorized to write on resource: {resource}."
        assert recorded(cluster) == []
