"""The kernelspec of a kernel that starts fast, for tests that need many; see `tests.fakes.light_kernel`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.replicas import ROOT, Cluster
from tests.fakes import kernel_host, light_kernel

LIGHT = "light"
OBSTINATE = "obstinate"
MUMBLING = "mumbling"
FAILING = "failing"
SILENT = "silent"
HOSTED = "hosted"
SETTINGS = {"EG_IPC_KERNELSPECS": f"{LIGHT},{OBSTINATE},{MUMBLING},{HOSTED}"}
"""What the replicas need to be told."""


def install(cluster: Cluster) -> None:
    """Offer the kernelspecs.

    `light`; `obstinate`, which does not listen to a shutdown request; `mumbling`, which does not say that a cell has
    begun; `failing`, whose process ends at once; `silent`, whose process never answers.
    """
    install_light(cluster, LIGHT)
    install_light(cluster, OBSTINATE, OBSTINATE)
    install_light(cluster, MUMBLING, MUMBLING)
    _install(cluster, FAILING, ["/bin/sh", "-c", "exit 3", "{connection_file}"])
    _install(cluster, SILENT, ["/bin/sh", "-c", "sleep 1000", "{connection_file}"])


def install_light(cluster: Cluster, name: str, *words: str, **fields: Any) -> None:
    """Offer a light kernel under a name, with more words in its command and more fields in its kernel.json."""
    _locks(cluster).mkdir(exist_ok=True)
    script = str(Path(light_kernel.__file__))
    _install(cluster, name, [sys.executable, "-I", script, "{connection_file}", str(_locks(cluster)), *words], **fields)


@contextmanager
def hosted(cluster: Cluster) -> Iterator[None]:
    """Offer `hosted`, a kernel that costs next to nothing, for crowds; see `tests.fakes.kernel_host`."""
    folder = cluster.folder / "host"
    kernel_host.prepare(folder)
    _install(cluster, HOSTED, kernel_host.command(folder))
    with subprocess.Popen([sys.executable, "-m", kernel_host.__name__, str(folder)], cwd=ROOT) as host:
        try:
            yield
        finally:
            host.kill()


def conflicts(cluster: Cluster) -> set[str]:
    """The kernels that had two processes at a time."""
    try:
        return set((_locks(cluster) / light_kernel.CONFLICTS).read_text().split())
    except FileNotFoundError:
        return set()


def _install(cluster: Cluster, name: str, argv: list[str], **fields: Any) -> None:
    folder = cluster.folder / ".local/share/jupyter/kernels" / name
    folder.mkdir(parents=True)
    spec = {"argv": argv, "display_name": name, "language": "python", **fields}
    (folder / "kernel.json").write_text(json.dumps(spec))


def _locks(cluster: Cluster) -> Path:
    return cluster.folder / "locks"
