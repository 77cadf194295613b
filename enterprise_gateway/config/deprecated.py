"""Settings under EG's former names. They work, with a warning, and are in no list of settings."""

from __future__ import annotations

from typing import Any

from traitlets import HasTraits, observe
from traitlets.log import get_logger

from enterprise_gateway.config.words import Words

SUCCESSORS = {"env_whitelist": "client_envs", "env_process_whitelist": "inherited_envs"}


class DeprecatedTraits(HasTraits):
    """What older config files still set."""

    env_whitelist = Words(config=True, help="Deprecated: use `client_envs`.")
    env_process_whitelist = Words(config=True, help="Deprecated: use `inherited_envs`.")

    @observe(*SUCCESSORS)
    def _hand_on(self, change: dict[str, Any]) -> None:
        successor = SUCCESSORS[change["name"]]
        get_logger().warning("The setting %s is deprecated: use %s", change["name"], successor)
        setattr(self, successor, change["new"])
