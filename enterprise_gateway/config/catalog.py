"""All settings as a page: `docs/configuration.md` is what `render` returns (`make docs`), as a test checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from traitlets import Bool, Enum, Float, HasTraits, Integer, List, TraitType, Type

from enterprise_gateway.config.culling import CullingTraits
from enterprise_gateway.config.deprecated import SUCCESSORS
from enterprise_gateway.config.kernels import KernelTraits
from enterprise_gateway.config.names import DATABASE_SECTION, DEPRECATED, SYNONYMS, UNSUPPORTED, Setting, variable
from enterprise_gateway.config.replica import ReplicaTraits
from enterprise_gateway.config.security import SecurityTraits
from enterprise_gateway.config.server import ServerTraits
from enterprise_gateway.config.settings import APP_SECTION

TOPICS: dict[str, type[HasTraits]] = {
    "Server": ServerTraits,
    "Security": SecurityTraits,
    "Kernels": KernelTraits,
    "Culling": CullingTraits,
    "Replicas": ReplicaTraits,
}

# What the first sentence of a number's help says it counts.
UNITS = {
    "seconds": r"\bseconds\b",
    "days": r"\bdays\b",
    "bytes": r"\bbytes\b",
    "fraction": r"\bfraction\b",
    "count": r"\bnumber of\b",
    "port": r"\bport\b",
}

INTRODUCTION = """\
# Configuration

<!-- Written by `make docs` from the settings in the code. Change them there. -->

A setting has a default, which the environment changes, which a config file changes, which the command line changes:

    EG_PORT=9000 jupyter enterprisegateway
    jupyter enterprisegateway --EnterpriseGatewayApp.port=9000     # or, for the most used, --port=9000

    # jupyter_enterprise_gateway_config.py, made by: jupyter enterprisegateway --generate-config
    c.EnterpriseGatewayApp.port = 9000

`jupyter enterprisegateway --show-config` says what is in force, `--help-all` what there is. Lists are written with
commas. A variable that is set to nothing is unset, except a list's: that is an empty list. Tokens and keys belong into
the environment or a config file, since other users of the machine can read a command line. Replicas of one database
should have the same settings, apart from addresses, and the same sealing keys.
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One setting as the page tells it."""

    setting: Setting
    variable: str
    kind: str
    unit: str | None
    default: str
    help: str


def entries(section: str, owner: type[HasTraits]) -> list[Entry]:
    """Return the settings that `owner` itself defines, in the order in which it does."""
    own = {name: trait for name, trait in owner.class_own_traits(config=True).items() if name not in SUCCESSORS}
    order = list(vars(owner))
    return [_entry(Setting(section, name), own[name]) for name in sorted(own, key=order.index)]


def unit_of(trait: TraitType[Any, Any]) -> str | None:
    """Return what a number counts, as the first sentence of its help says; None where it does not, or is no number."""
    if not isinstance(trait, Integer | Float):
        return None
    first_sentence = re.split(r"[.;:] ", trait.help, maxsplit=1)[0]
    return next((unit for unit, words in UNITS.items() if re.search(words, first_sentence, re.IGNORECASE)), None)


def _entry(setting: Setting, trait: TraitType[Any, Any]) -> Entry:
    return Entry(
        setting=setting,
        variable=variable(setting),
        kind=_kind(trait),
        unit=unit_of(trait),
        default=_default(trait),
        help=" ".join(trait.help.split()),
    )


def _kind(trait: TraitType[Any, Any]) -> str:
    kinds: dict[str, tuple[type[Any], ...]] = {
        "yes or no": (Bool,),
        "whole number": (Integer,),
        "number": (Float,),
        "list": (List,),
        "class": (Type,),
    }
    if isinstance(trait, Enum):
        return "one of " + ", ".join(f"`{value}`" for value in trait.values or ())
    return next((kind for kind, types in kinds.items() if isinstance(trait, types)), "text")


def _default(trait: TraitType[Any, Any]) -> str:
    text = trait.metadata.get("default_text")
    if text is not None:
        return str(text)
    value = trait.default()
    if value is None:
        return "unset"
    if isinstance(value, list | set | tuple):
        value = ",".join(value)
    if isinstance(value, float):
        return f"`{value:g}`"
    if isinstance(value, type):
        value = f"{value.__module__}.{value.__qualname__}"
    return "empty" if value == "" else f"`{value}`"


def render(sections: Mapping[str, type[HasTraits]]) -> str:
    """Write the page.

    Args:
        sections: The classes with settings, by section; the application's own is told by topics.
    """
    parts = [INTRODUCTION]
    parts += [_topic(topic, entries(APP_SECTION, owner)) for topic, owner in TOPICS.items()]
    others = {name: owner for name, owner in sections.items() if name != APP_SECTION}
    titles = {DATABASE_SECTION: "Database"}
    parts += [_topic(titles.get(name, name), entries(name, owner)) for name, owner in others.items()]
    parts += [_log_level(), _former_names(), _without_effect()]
    return "\n".join(parts)


def _topic(title: str, settings: Iterable[Entry]) -> str:
    return "\n".join([f"## {title}\n", *(_paragraph(entry) for entry in settings)])


def _paragraph(entry: Entry) -> str:
    counted = f", {entry.unit}" if entry.unit not in (None, "count", "port") else ""
    name = f"{entry.setting.section}.{entry.setting.trait}"
    return (
        f"### `{entry.setting.trait}`\n\n"
        f"`{entry.variable}` · `c.{name}` · {entry.kind}{counted} · default: {entry.default}\n\n"
        f"{entry.help}\n"
    )


def _log_level() -> str:
    return (
        "## Logging\n\n### `log_level`\n\n`EG_LOG_LEVEL` · `c.EnterpriseGatewayApp.log_level` · "
        "one of `DEBUG`, `INFO`, `WARN`, `ERROR`, `CRITICAL` · default: `INFO`\n\n"
        "The least important messages that are logged. Messages never hold secrets, at any level.\n"
    )


def _former_names() -> str:
    rows = [f"| `{name}` | `{current}` | none |" for name, current in SYNONYMS.items()]
    rows += [f"| `{name}` | `{current}` | deprecated |" for name, current in DEPRECATED.items()]
    rows += [f"| `c.{APP_SECTION}.{old}` | `c.{APP_SECTION}.{new}` | deprecated |" for old, new in SUCCESSORS.items()]
    head = "## Former names\n\nThey still work; the present name comes first where both are set.\n"
    return "\n".join([head, "| name | the same as | warning |", "|---|---|---|", *rows, ""])


def _without_effect() -> str:
    rows = [f"| `{name}{'*' if name.endswith('_') else ''}` | {reason} |" for name, reason in UNSUPPORTED.items()]
    head = (
        "## Variables of Enterprise Gateway without effect\n\nA warning at start names each that is set, and any "
        "other `EG_*` variable that is no setting.\n"
    )
    return "\n".join([head, "| variable | why |", "|---|---|", *rows, ""])
