"""What a run leaves in the database."""

from __future__ import annotations

from persistence.documents import SCHEMA
from tests.cluster import light_kernels
from tests.cluster.conftest import MakeCluster
from tests.cluster.light_kernels import LIGHT
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

COLLECTIONS = {"deployment", "events", "kernels", "leases", "replicas", "sessions"}


async def test_every_document_says_by_which_schema_it_was_written(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(**light_kernels.SETTINGS)
    light_kernels.install(cluster)
    cluster.start()
    async with Rest(cluster.urls, cluster.token) as rest:
        body = {"path": "a.ipynb", "type": "notebook", "name": "a", "kernel": {"name": LIGHT}}
        await rest.post("/api/sessions", body)
    await eventually(lambda: all(cluster.documents(name) for name in COLLECTIONS), "there is one of each")
    assert set(cluster.collections) == COLLECTIONS
    for name in cluster.collections:
        assert [document for document in cluster.documents(name) if document.get("schema") != SCHEMA] == [], name
