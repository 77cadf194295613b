"""All settings of the application class, so that it has one base for them."""

from __future__ import annotations

from typing import Any

from traitlets import TraitType

from enterprise_gateway.config.culling import CullingTraits
from enterprise_gateway.config.deprecated import DeprecatedTraits
from enterprise_gateway.config.kernels import KernelTraits
from enterprise_gateway.config.replica import ReplicaTraits
from enterprise_gateway.config.security import SecurityTraits
from enterprise_gateway.config.server import ServerTraits

APP_SECTION = "EnterpriseGatewayApp"


class GatewayTraits(ServerTraits, SecurityTraits, KernelTraits, CullingTraits, ReplicaTraits, DeprecatedTraits):
    """The settings that the application has by name: `c.EnterpriseGatewayApp.<name>` in a config file."""

    @classmethod
    def class_own_traits(cls, **metadata: Any) -> dict[str, TraitType[Any, Any]]:
        """Count the settings of the topics as the application's own.

        Traitlets leaves a parent's traits out of `--help-all`, `--generate-config` and the command line's options,
        since it expects them in a section of the parent's name; the topics have no such section.
        """
        mixed_in = GatewayTraits.class_traits(config=True)
        topics = {name: trait for name, trait in cls.class_traits(**metadata).items() if name in mixed_in}
        return {**super().class_own_traits(**metadata), **topics}
