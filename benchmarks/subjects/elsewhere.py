"""Many kernels of a replica on another host, in the same database: no process is behind them, but the replica beats."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import pymongo

from tests.cluster.replicas import Cluster
from tests.records import HOST, running_kernel

REPLICA = "elsewhere"
BEAT_SECONDS = 1.0


@contextmanager
def kernels_elsewhere(cluster: Cluster, database: str, count: int) -> Iterator[None]:
    """Have so many running kernels elsewhere, as far as a cluster with a running replica can see."""
    with pymongo.MongoClient[dict[str, object]](database) as client:
        stored = client[cluster.database]
        (known,) = cluster.documents("replicas")
        stored["replicas"].insert_one({**known, "_id": REPLICA, "host": asdict(HOST), "url": "http://elsewhere:8888"})
        kernels = (running_kernel(f"elsewhere-{n}", owner=REPLICA) for n in range(count))
        stored["kernels"].insert_many([kernel.to_document() for kernel in kernels])
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_SECONDS):
                stored["replicas"].update_one({"_id": REPLICA}, {"$inc": {"beat": 1}})

        beating = threading.Thread(target=beat)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()
