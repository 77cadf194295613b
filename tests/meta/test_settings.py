"""Every setting is documented, has one variable of its own, and is used."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from traitlets import Float, Integer, TraitType

from enterprise_gateway.config.catalog import render, unit_of
from enterprise_gateway.config.deprecated import SUCCESSORS
from enterprise_gateway.config.names import DEPRECATED, SYNONYMS, UNSUPPORTED, Setting, variable
from enterprise_gateway.config.sections import sections
from tests.meta.sources import PACKAGES, ROOT, files

SETTINGS = {
    Setting(section, name): trait
    for section, owner in sections().items()
    for name, trait in owner.class_own_traits(config=True).items()
    if name not in SUCCESSORS
}

# Where settings are defined and compared with each other, which is no use of them.
DEFINITIONS = {
    ROOT / "enterprise_gateway" / "config" / f"{module}.py"
    for module in ("server", "security", "kernels", "culling", "replica", "deprecated", "validation")
}


@pytest.mark.parametrize(("setting", "trait"), SETTINGS.items(), ids=lambda value: getattr(value, "trait", ""))
def test_a_setting_says_what_it_means_and_does(setting: Setting, trait: TraitType[Any, Any]) -> None:
    assert len(trait.help.split()) >= 6, "a sentence on its meaning, and what another value does"
    assert trait.help.rstrip().endswith(".")


@pytest.mark.parametrize(("setting", "trait"), SETTINGS.items(), ids=lambda value: getattr(value, "trait", ""))
def test_a_number_says_what_it_counts(setting: Setting, trait: TraitType[Any, Any]) -> None:
    if isinstance(trait, Integer | Float) and setting.trait != "ssl_version":
        assert unit_of(trait), "the first sentence of its help must name the unit"


def test_no_two_settings_share_a_variable() -> None:
    counted = Counter(variable(setting) for setting in SETTINGS)

    assert [name for name, number in counted.items() if number > 1] == []


def test_former_names_lead_to_settings_and_no_setting_is_called_unsupported() -> None:
    variables = {variable(setting) for setting in SETTINGS}

    assert {*DEPRECATED.values(), *SYNONYMS.values()} <= variables
    assert variables.isdisjoint(UNSUPPORTED)
    families = tuple(name for name in UNSUPPORTED if name.endswith("_"))
    assert [name for name in variables if name.startswith(families)] == []


def test_every_setting_is_used() -> None:
    sources = {path for package in PACKAGES for path in files(package)} - DEFINITIONS
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)

    assert [name for _, name in SETTINGS if not re.search(rf"\.{name}\b", text)] == []


def test_the_page_of_settings_is_up_to_date() -> None:
    page = ROOT / "docs" / "configuration.md"

    assert page.read_text(encoding="utf-8") == render(sections()), "run `make docs`"
