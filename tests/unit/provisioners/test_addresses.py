"""What needs no kernel; the rest is tested with the kernel manager, which drives it."""

from __future__ import annotations

import pytest
from jupyter_client.kernelspec import KernelSpec

from enterprise_gateway.provisioners.addresses import manages_ipc


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], True),
        (["/opt/conda/bin/python3.12", "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "x"], True),
        (["python3", "-m", "ipykernel", "-f", "x"], True),
        (["pypy3", "-m", "ipykernel.kernelapp", "-f", "x"], True),
        (["python", "-m", "bash_kernel", "-f", "x"], False),
        (["python", "-m", "other", "ipykernel_launcher"], False),
        (["docker", "run", "image", "python", "-m", "ipykernel_launcher"], False),
        (["R", "--slave", "-e", "IRkernel::main()"], False),
        ([], False),
    ],
)
def test_only_a_python_that_runs_ipykernel_is_known_to_manage_sockets(argv: list[str], answer: bool) -> None:
    assert manages_ipc(KernelSpec(argv=argv), "any", frozenset()) is answer


def test_a_named_kernelspec_is_taken_at_its_word() -> None:
    spec = KernelSpec(argv=["R"])
    assert manages_ipc(spec, "ir", frozenset({"ir"}))
    assert not manages_ipc(spec, "r", frozenset({"ir"}))
