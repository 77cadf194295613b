"""Every class that has settings, by the section that a config file names it by."""

from __future__ import annotations

from traitlets import HasTraits

from enterprise_gateway.config.names import DATABASE_SECTION
from enterprise_gateway.config.settings import APP_SECTION, GatewayTraits
from persistence.kernel_session_manager import KernelSessionManager


def sections() -> dict[str, type[HasTraits]]:
    """Return the classes whose traits are settings of this gateway."""
    return {APP_SECTION: GatewayTraits, DATABASE_SECTION: KernelSessionManager}
