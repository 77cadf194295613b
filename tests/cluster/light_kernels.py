"""The kernelspec of a kernel that starts fast, for tests that need many; see `tests.fakes.light_kernel`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.cluster.replicas import Cluster
from tests.fakes import light_kernel

LIGHT = "light"
OBSTINATE = "obstinate"
FAILING = "failing"
SILENT = "silent"
SETTINGS = {"EG_IPC_KERNELSPECS": f"{LIGHT},{OBSTINATE}"}
"""What the replicas need to be told."""


def install(cluster: Cluster) -> None:
    """Offer the kernelspecs.

    `light`; `obstinate`, which does not listen to a shutdown request; `failing`, whose process ends at once; `silent`,
    whose process never answers.
    """
    _locks(cluster).mkdir()
    script = str(Path(light_kernel.__file__))
    argv = [sys.executable, "-I", script, "{connection_file}", str(_locks(cluster))]
    _install(cluster, LIGHT, argv)
    _install(cluster, OBSTINATE, [*argv, OBSTINATE])
    _install(cluster, FAILING, ["/bin/sh", "-c", "exit 3", "{connection_file}"])
    _install(cluster, SILENT, ["/bin/sh", "-c", "sleep 1000", "{connection_file}"])


def conflicts(cluster: Cluster) -> set[str]:
    """The kernels that had two processes at a time."""
    try:
        return set((_locks(cluster) / light_kernel.CONFLICTS).read_text().split())
    except FileNotFoundError:
        return set()


def _install(cluster: Cluster, name: str, argv: list[str]) -> None:
    folder = cluster.folder / ".local/share/jupyter/kernels" / name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}))


def _locks(cluster: Cluster) -> Path:
    return cluster.folder / "locks"
