from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernelspecs import SpecService
from persistence import clock


class Counting(KernelSpecManager):
    """Counts how often it is read, and by whom."""

    reads = 0
    threads: frozenset[int] = frozenset()
    broken = False

    def find_kernel_specs(self) -> dict[str, str]:
        self.reads += 1
        self.threads = self.threads | {threading.get_ident()}
        if self.broken:
            raise PermissionError("no")
        found: dict[str, str] = super().find_kernel_specs()
        return found


def install(directory: Path, name: str, content: Any = None, *, raw: str | None = None) -> Path:
    place = directory / name
    place.mkdir()
    spec = {"argv": ["cat"], "display_name": name, "language": "cat", **(content or {})}
    (place / "kernel.json").write_text(json.dumps(spec) if raw is None else raw)
    return place


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    kernels = tmp_path / "kernels"
    kernels.mkdir()
    install(kernels, "cat")
    return kernels


@pytest.fixture
def manager(directory: Path) -> Counting:
    return Counting(kernel_dirs=[str(directory)], ensure_native_kernel=False)


@pytest.fixture
async def specs(manager: Counting) -> AsyncIterator[SpecService]:
    made = SpecService(manager, default_kernel_name="cat", base_url="/gw")
    yield made
    made.close()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call it to let seconds pass."""
    shift = [0.0]
    real = clock.monotonic
    monkeypatch.setattr(clock, "monotonic", lambda: real() + shift[0])

    def pass_by(seconds: float) -> None:
        shift[0] += seconds

    return pass_by


async def test_all_has_the_default_and_every_spec_with_its_resources(specs: SpecService, directory: Path) -> None:
    for file in ("logo-64x64.png", "logo-svg.svg", "kernel.js", "notes.txt"):
        (directory / "cat" / file).write_text("x")
    found = await specs.all()
    assert found["default"] == "cat"
    assert set(found["kernelspecs"]) == {"cat"}
    assert found["kernelspecs"]["cat"]["spec"]["argv"] == ["cat"]
    assert found["kernelspecs"]["cat"]["resources"] == {
        "logo-64x64": "/gw/kernelspecs/cat/logo-64x64.png",
        "logo-svg": "/gw/kernelspecs/cat/logo-svg.svg",
        "kernel.js": "/gw/kernelspecs/cat/kernel.js",
    }


async def test_the_default_is_jupyters_where_none_is_configured(manager: Counting) -> None:
    specs = SpecService(manager)
    assert (await specs.all())["default"] == "python3"
    specs.close()


async def test_those_who_ask_at_once_share_one_read_off_the_loop(specs: SpecService, manager: Counting) -> None:
    await asyncio.gather(*(specs.all() for _ in range(50)))
    assert manager.reads == 1
    assert threading.get_ident() not in manager.threads


async def test_a_read_is_kept_for_a_second(specs: SpecService, manager: Counting, later: Any) -> None:
    await specs.all()
    later(0.9)
    await specs.all()
    assert manager.reads == 1
    later(0.2)
    await specs.all()
    assert manager.reads == 2


async def test_a_spec_that_is_installed_later_is_listed_a_second_later(
    specs: SpecService, directory: Path, later: Any
) -> None:
    await specs.all()
    install(directory, "dog")
    later(1.1)
    assert set((await specs.all())["kernelspecs"]) == {"cat", "dog"}


async def test_a_spec_that_was_just_installed_is_found_by_name_at_once(specs: SpecService, directory: Path) -> None:
    await specs.all()
    install(directory, "dog")
    assert (await specs.get("dog"))["name"] == "dog"


async def test_who_goes_away_does_not_end_the_read_of_others(specs: SpecService) -> None:
    first = asyncio.ensure_future(specs.all())
    second = asyncio.ensure_future(specs.all())
    await clock.sleep(0)
    first.cancel()
    assert set((await second)["kernelspecs"]) == {"cat"}


async def test_only_allowed_specs_exist(specs: SpecService, manager: Counting, directory: Path) -> None:
    install(directory, "dog")
    manager.allowed_kernelspecs = {"dog"}
    assert set((await specs.all())["kernelspecs"]) == {"dog"}
    with pytest.raises(GatewayError, match="'cat' is not available on this gateway") as refused:
        await specs.get("cat")
    assert refused.value.status == 404


@pytest.mark.parametrize(
    "raw",
    [
        "{",
        "[]",
        '{"argv": 7}',
        '{"argv": ["a"], "metadata": {"x": NaN}}',
        '{"argv": ["a"], "metadata": {"kernel_provisioner": {"provisioner_name": "none-such"}}}',
        '{"argv": ["a"], "display_name": "\\ud800"}',
        '{"argv": []}',
        '{"argv": ["a", 1]}',
        '{"argv": [null]}',
        '{"argv": ["a"], "metadata": null}',
        '{"argv": ["a"], "metadata": {"process_proxy": null}}',
        '{"argv": ["a"], "metadata": {"process_proxy": "x"}}',
        '{"argv": ["a"], "metadata": {"process_proxy": [1]}}',
        '{"argv": ["a"], "metadata": {"process_proxy": {"class_name": 5}}}',
        '{"argv": ["a"], "metadata": {"kernel_provisioner": null}}',
        '{"argv": ["a"], "metadata": {"kernel_provisioner": "x"}}',
        '{"argv": ["a"], "metadata": {"kernel_provisioner": {"provisioner_name": 5}}}',
        pytest.param(f'{{"argv": ["a"], "metadata": {{"x": {"[" * 60}{"]" * 60}}}}}', id="nested"),
        pytest.param(f'{{"argv": ["a"], "metadata": {{"x": {"[" * 900}{"]" * 900}}}}}', id="nested deep"),
        pytest.param(f'{{"argv": ["a"], "metadata": {{"x": {"[" * 99999}{"]" * 99999}}}}}', id="nested deeper"),
    ],
)
async def test_a_broken_spec_is_left_out_and_told_once(
    specs: SpecService, directory: Path, raw: str, later: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "enterprise_gateway")
    install(directory, "bad", raw=raw)
    assert set((await specs.all())["kernelspecs"]) == {"cat"}
    later(2)
    await specs.all()
    assert len([entry for entry in caplog.records if "left out" in entry.message]) == 1


async def test_a_directory_that_can_not_be_read_is_503_at_first(specs: SpecService, manager: Counting) -> None:
    manager.broken = True
    with pytest.raises(GatewayError) as refused:
        await specs.all()
    assert refused.value.status == 503


async def test_a_directory_that_can_not_be_read_any_more_changes_nothing(
    specs: SpecService, manager: Counting, later: Any
) -> None:
    await specs.all()
    manager.broken = True
    later(2)
    assert set((await specs.all())["kernelspecs"]) == {"cat"}


async def test_a_request_without_a_name_means_the_default(specs: SpecService) -> None:
    name, spec = await specs.resolve(None)
    assert (name, spec.argv, spec.name) == ("cat", ["cat"], "cat")


async def test_a_name_is_known_whatever_its_case(specs: SpecService) -> None:
    assert (await specs.resolve("CAT"))[0] == "cat"


async def test_what_a_launcher_does_to_a_spec_stays_his(specs: SpecService) -> None:
    _, spec = await specs.resolve("cat")
    spec.argv.append("x")
    spec.metadata["x"] = 1
    _, again = await specs.resolve("cat")
    assert (again.argv, again.metadata) == (["cat"], {})


async def test_a_request_for_an_unknown_spec_is_400(specs: SpecService) -> None:
    with pytest.raises(GatewayError, match="'dog' is not available") as refused:
        await specs.resolve("dog")
    assert refused.value.status == 400


async def test_a_file_of_a_spec_is_found(specs: SpecService, directory: Path) -> None:
    (directory / "cat" / "static").mkdir()
    (directory / "cat" / "static" / "a.js").write_text("x")
    assert await specs.resource_path("cat", "static/a.js") == (directory / "cat" / "static" / "a.js").resolve()


@pytest.mark.parametrize(
    "file",
    [
        "../secret",
        "static/../../secret",
        "../../kernels/../secret",
        "{root}/secret",
        "link",
        "linked/secret",
        "",
        ".",
        "nothing",
        "a\0b",
        "\ud800",
        "x" * 5000,
    ],
)
async def test_nothing_outside_a_specs_directory_is_found(specs: SpecService, directory: Path, file: str) -> None:
    (directory / "secret").write_text("x")
    (directory.parent / "secret").write_text("x")
    (directory / "cat" / "static").mkdir()
    (directory / "cat" / "link").symlink_to(directory / "secret")
    (directory / "cat" / "linked").symlink_to(directory)
    with pytest.raises(GatewayError) as refused:
        await specs.resource_path("cat", file.replace("{root}", str(directory)))
    assert refused.value.status == 404
