"""What is in the wheel: the three packages, whole, and nothing else."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import enterprise_gateway
from tests.meta.sources import PACKAGES, ROOT, files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy: the build leaves nothing in the tree."""
    copy = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", copy / "dist", copy], check=True, capture_output=True, text=True)
    return zipfile.ZipFile(next((copy / "dist").glob("*.whl")))


def test_it_holds_every_module_of_the_three_packages(wheel: zipfile.ZipFile) -> None:
    modules = {str(path.relative_to(ROOT)) for package in PACKAGES for path in files(package)}

    assert modules == {name for name in wheel.namelist() if name.endswith(".py")}


def test_it_holds_nothing_but_the_packages_and_their_types(wheel: zipfile.ZipFile) -> None:
    others = [name for name in wheel.namelist() if not name.endswith(".py") and ".dist-info/" not in name]

    assert sorted(others) == sorted(f"{package}/py.typed" for package in PACKAGES)


def test_it_has_the_version_of_the_package(wheel: zipfile.ZipFile) -> None:
    assert f"\nVersion: {enterprise_gateway.__version__}\n" in read(wheel, "METADATA")


def test_it_has_the_command_and_the_provisioner(wheel: zipfile.ZipFile) -> None:
    points = configparser.ConfigParser()
    points.read_string(read(wheel, "entry_points.txt"))

    assert points["console_scripts"]["jupyter-enterprisegateway"] == "enterprise_gateway.app:main"
    assert dict(points["jupyter_client.kernel_provisioners"]) == {
        "gateway-local-provisioner": "enterprise_gateway.provisioners.local:LocalProvisioner"
    }


def read(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (Path(entry) for entry in wheel.namelist() if entry.endswith(f".dist-info/{name}"))
    return wheel.read(str(path)).decode()
