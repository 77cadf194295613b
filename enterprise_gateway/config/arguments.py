"""The command line, read strictly: what would have no effect is refused, in one line that says what was meant.

Guaranteed: an option that does not exist, a setting that its class does not have, and a stray argument end the start.
Not refused are settings of classes that are not known here: an authorizer of one's own may have some.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from traitlets import HasTraits, TraitError
from traitlets.config.loader import ArgumentError, Config, KVArgParseConfigLoader

from enterprise_gateway.config.names import reason_without

END_OF_OPTIONS = "--"


class StrictLoader(KVArgParseConfigLoader):
    """Traitlets' reader of the command line, which by itself warns of a mistake at most, and goes on.

    Raises:
        ArgumentError: Traitlets' applications end with its message.
    """

    def load_config(self, *args: Any, **kwargs: Any) -> Config:
        """Read the arguments."""
        config: Config = super().load_config(*args, **kwargs)
        if self.extra_args:
            raise ArgumentError(f"no arguments are taken, only options, so not {self.extra_args[0]!r}")
        return config

    def _create_parser(self) -> None:
        super()._create_parser()
        # Its own way to refuse prints a page of usage.
        self.parser.error = _refuse  # type: ignore[method-assign]

    def _parse_args(self, args: Sequence[str]) -> Any:
        short = {*self.aliases, *self.flags}
        for name in _names(args):
            if "." in name:
                _check_setting(name, self.classes)
            elif _dashed(name) not in short:
                meant = _meant(_dashed(name), short, prefix="--")
                raise ArgumentError(f"there is no option {_written(name)}{meant}; see --help")
        return super()._parse_args([*map(_dashed_option, args)])


def check_config_file(path: str) -> None:
    """Refuse a config file that does not exist; traitlets passes over it. As there, its suffix may be left out.

    Raises:
        TraitError: It does not exist.
    """
    without_suffix = Path(path).with_suffix("")
    if not any(without_suffix.with_suffix(suffix).is_file() for suffix in (".py", ".json")):
        raise TraitError(f"there is no config file {path}")


def _names(args: Sequence[str]) -> Iterator[str]:
    """Name the options among the arguments; a negative number is the value of one."""
    for arg in takewhile(lambda arg: arg != END_OF_OPTIONS, args):
        name = arg.partition("=")[0]
        if name.startswith("--") or (name[:1] == "-" and name[1:2].isalpha()):
            yield name.lstrip("-")


def _check_setting(name: str, classes: Sequence[type[HasTraits]]) -> None:
    section, trait = name.split(".")[-2:]
    known = {cls.__name__: cls for leaf in classes for cls in leaf.__mro__ if issubclass(cls, HasTraits)}
    if section not in known:
        return
    traits = known[section].class_traits(config=True)
    if trait not in traits:
        raise ArgumentError(f"there is no setting --{name}{_why(trait) or _meant(trait, traits)}; see --help-all")


def _why(trait: str) -> str:
    reason = reason_without(f"EG_{trait.upper()}")
    return f": {reason}" if reason else ""


def _meant(name: str, known: Collection[str], prefix: str = "") -> str:
    close = get_close_matches(name, known, n=1)
    return f" (did you mean {prefix}{close[0]}?)" if close else ""


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _dashed_option(arg: str) -> str:
    """Write a short option with dashes: EG wrote some with underscores."""
    name, mark, value = arg.partition("=")
    return arg if "." in name or not name.startswith("--") else _dashed(name) + mark + value


def _written(name: str) -> str:
    return f"--{name}" if len(name) > 1 else f"-{name}"


def _refuse(message: str) -> NoReturn:
    raise ArgumentError(message)
