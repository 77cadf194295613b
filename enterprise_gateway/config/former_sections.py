"""Settings of culling under the classes that EG has them on: its start script and many config files name those."""

from __future__ import annotations

from collections.abc import Iterator

from traitlets.config import Config

from enterprise_gateway.config.settings import APP_SECTION

FORMER_SECTIONS = ("RemoteMappingKernelManager", "AsyncMappingKernelManager", "MappingKernelManager")
CULLING = ("cull_idle_timeout", "cull_interval", "cull_connected", "cull_busy")


def handed_on(config: Config) -> tuple[Config, list[str]]:
    """Give what those sections say and the application's own does not, and the names that were used."""
    own, found, names = config.get(APP_SECTION, {}), Config(), []
    for section, trait in _used(config):
        names.append(f"{section}.{trait}")
        if trait not in own and trait not in found[APP_SECTION]:
            found[APP_SECTION][trait] = config[section][trait]
    return found, names


def _used(config: Config) -> Iterator[tuple[str, str]]:
    for section in FORMER_SECTIONS:
        for trait in CULLING:
            if section in config and trait in config[section]:
                yield section, trait
