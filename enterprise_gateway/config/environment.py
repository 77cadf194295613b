"""The environment of the process: the only module that reads it, once, at start.

What is guaranteed: a setting from the environment is weaker than the config file's, and that weaker than the command
line's (the application applies `Environment.config` in that order). A warning names the variable, never its value,
which may be a secret. An error shows the value too where it is a number, a choice, or a yes or no.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

from traitlets import Bool, Enum, Float, HasTraits, Integer, List, TraitError, TraitType, Type
from traitlets.config import Application, Config

from enterprise_gateway.config.names import (
    DEPRECATED,
    FAULTS,
    IGNORED_PREFIXES,
    SYNONYMS,
    Setting,
    variable,
    why_unsupported,
)
from enterprise_gateway.config.settings import APP_SECTION
from enterprise_gateway.config.words import Words

YES = ("1", "true", "yes", "y", "on", "t")
NO = ("0", "false", "no", "n", "off", "f")
MAX_SHOWN_CHARS = 40


@dataclass(frozen=True)
class Notice:
    """Something to warn about once there is a log: `log.warning("%s: %s", notice.variable, notice.advice)`."""

    variable: str
    advice: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What the environment said when it was read.

    Attributes:
        config: The settings it holds, by section.
        notices: Variables that are deprecated or without effect.
        own: The whole environment, as it was. It may hold secrets: never in a repr, never to a kernel as a whole.
    """

    config: Config
    notices: tuple[Notice, ...]
    own: Mapping[str, str] = field(repr=False)

    def inherited(self, names: Collection[str]) -> dict[str, str]:
        """Return those of the gateway's own variables that kernels get: the ones in `names` that are set."""
        return {name: self.own[name] for name in names if name in self.own}

    @property
    def faults(self) -> str:
        """What a test wants to happen between the steps of acts; empty anywhere else."""
        return self.own.get(FAULTS, "")

    def runtime_root(self) -> Path:
        """Return the short directory of this user under which sockets may lie. It need not exist yet."""
        base = self.own.get("XDG_RUNTIME_DIR", "")
        if base and Path(base).is_dir():
            return Path(base) / "enterprise-gateway"
        return Path("/tmp") / f"enterprise-gateway-{os.getuid()}"


def read_environment(sections: Mapping[str, type[HasTraits]], environ: Mapping[str, str] | None = None) -> Environment:
    """Read the settings, and remember the rest.

    Args:
        sections: The classes that have settings, by the name of their section.
        environ: What to read in place of the process's own environment.

    Raises:
        TraitError: A value can't be understood. Traitlets' applications end with its message.
    """
    own = dict(os.environ if environ is None else environ)  # noqa: TID251 - this is the place where it is read
    traits = dict(_variables(sections))
    config = Config()
    notices: list[Notice] = []
    for name in sorted(own):
        current = DEPRECATED.get(name) or SYNONYMS.get(name, name)
        if name != current and current in own:
            notices.append(Notice(name, f"has no effect beside {current}"))
        elif current in traits:
            _put(config, *traits[current], name, own[name])
            if name in DEPRECATED:
                notices.append(Notice(name, f"is deprecated: use {current}"))
        elif name.startswith("EG_") and not name.startswith(IGNORED_PREFIXES):
            notices.append(Notice(name, f"has no effect: {why_unsupported(name)}"))
    return Environment(config=config, notices=tuple(notices), own=MappingProxyType(own))


def _variables(sections: Mapping[str, type[HasTraits]]) -> Iterator[tuple[str, tuple[Setting, TraitType[Any, Any]]]]:
    for section, owner in sections.items():
        for name, trait in owner.class_own_traits(config=True).items():
            setting = Setting(section, name)
            yield variable(setting), (setting, trait)
    yield "EG_LOG_LEVEL", (Setting(APP_SECTION, "log_level"), Application.class_traits()["log_level"])


def _put(config: Config, setting: Setting, trait: TraitType[Any, Any], name: str, text: str) -> None:
    # A list that is set to nothing is empty. Anything else that is set to nothing, as compose files do, is unset.
    if text.strip() == "" and not isinstance(trait, List):
        return
    config[setting.section][setting.trait] = _parse(trait, name, text)


def _parse(trait: TraitType[Any, Any], name: str, text: str) -> Any:
    if isinstance(trait, Words):
        return [] if text.strip() == "null" else trait.split(text)  # EG's start script writes null for none
    if isinstance(trait, List):
        return [item.strip() for item in text.split(",") if item.strip()]
    if isinstance(trait, Bool):
        return _parse_bool(name, text)
    if isinstance(trait, Type):
        return text.strip()
    return _parse_scalar(trait, name, text)


def _parse_bool(name: str, text: str) -> bool:
    word = text.strip().lower()
    if word not in YES + NO:
        raise TraitError(f"{name} must be true or false, not {_shown(text)}.")
    return word in YES


def _parse_scalar(trait: TraitType[Any, Any], name: str, text: str) -> Any:
    try:
        value = trait._validate(_Nobody(), trait.from_string(text.strip()))
        if isinstance(value, float) and not isfinite(value):
            raise ValueError("not finite")
        return value
    except (TraitError, ValueError) as error:
        given = f", not {_shown(text)}" if isinstance(trait, Integer | Float | Enum) else ""
        raise TraitError(f"{name} must be {trait.info()}{_bounds(trait)}{given}.") from error


def _shown(text: str) -> str:
    return repr(text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…")


class _Nobody(HasTraits):
    """Stands for the object whose trait is checked, where there is none yet."""


def _bounds(trait: TraitType[Any, Any]) -> str:
    limits = (("at least", getattr(trait, "min", None)), ("at most", getattr(trait, "max", None)))
    finite = ", finite" if isinstance(trait, Float) else ""
    return finite + "".join(f", {word} {limit:.15g}" for word, limit in limits if limit is not None and isfinite(limit))
