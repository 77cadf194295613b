from __future__ import annotations

from typing import Any

import pytest
from traitlets import TraitError
from traitlets.config import Config, Configurable

from enterprise_gateway.config.words import Words


class Holder(Configurable):
    names = Words(("a",), config=True)
    tokens = Words(quoted=False, config=True)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("x,y", ["x", "y"]),
        (" x , ,y ", ["x", "y"]),
        ("['x', \"y\"]", ["x", "y"]),
        ("", []),
        (["x", "y"], ["x", "y"]),
        (("x",), ["x"]),
        ({"y", "x"}, ["x", "y"]),
    ],
)
def test_a_list_may_be_written_in_many_ways(given: Any, kept: list[str]) -> None:
    assert Holder(names=given).names == kept


def test_a_token_keeps_its_quotes_and_brackets() -> None:
    assert Holder(tokens='[a\'b],"c"').tokens == ["[a'b]", '"c"']


def test_what_is_no_list_of_strings_is_refused() -> None:
    with pytest.raises(TraitError):
        Holder(names=[1])


def test_a_config_file_may_append_to_the_default() -> None:
    config = Config()
    config.Holder.names.append("b")

    assert Holder(config=config).names == ["a", "b"]


def test_two_objects_share_no_default() -> None:
    first, second = Holder(), Holder()
    first.names.append("b")

    assert second.names == ["a"]


def test_a_repeated_option_adds_up() -> None:
    trait = Holder.class_traits()["names"]
    assert isinstance(trait, Words)

    assert trait.from_string_list(["a,b", "c"]) == ["a", "b", "c"]
