"""Kernel provisioners beside the gateway, as packages of somebody else's bring them."""

from __future__ import annotations

from tests.cluster import light_kernels
from tests.cluster.replicas import ROOT, Cluster

DEFAULT = "local-provisioner"
VISITING = "visiting-provisioner"
FORGETFUL = "forgetful-provisioner"
ENTRY_POINTS = f"""\
[jupyter_client.kernel_provisioners]
{VISITING} = tests.fakes.visiting_provisioner:VisitingProvisioner
{FORGETFUL} = jupyter_client.provisioning.local_provisioner:LocalProvisioner
"""


def install_provisioners(cluster: Cluster) -> dict[str, str]:
    """Install two, and offer kernelspecs of them and of the default one, by name; returns what replicas are told."""
    for name in (DEFAULT, VISITING, FORGETFUL):
        light_kernels.install_light(cluster, name, metadata={"kernel_provisioner": {"provisioner_name": name}})
    package = cluster.folder / "site/visiting-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: visiting\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(ENTRY_POINTS)
    return {"PYTHONPATH": f"{ROOT}:{package.parent}"}
