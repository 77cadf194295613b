from __future__ import annotations

from traitlets import Float, HasTraits, Unicode

from enterprise_gateway.config.catalog import TOPICS, entries, render, unit_of
from enterprise_gateway.config.kernels import KernelTraits
from enterprise_gateway.config.replica import ReplicaTraits
from enterprise_gateway.config.settings import GatewayTraits


class Example(HasTraits):
    second = Float(1.5, config=True, help="Bytes of it. Not seconds.")
    first = Unicode("", config=True, help="A\n   name.")
    hidden = Unicode("", help="No setting.")


def test_settings_are_told_in_the_order_of_the_code() -> None:
    assert [entry.setting.trait for entry in entries("Example", Example)] == ["second", "first"]


def test_a_setting_is_told_with_its_variable_unit_default_and_help() -> None:
    entry = entries("Example", Example)[0]

    assert (entry.variable, entry.kind, entry.unit, entry.default) == ("EG_SECOND", "number", "bytes", "`1.5`")
    assert entry.help == "Bytes of it. Not seconds."


def test_lines_of_a_help_are_joined() -> None:
    assert entries("Example", Example)[1].help == "A name."


def test_the_unit_is_what_the_first_sentence_says() -> None:
    assert unit_of(ReplicaTraits.class_traits()["lease_duration"]) == "seconds"
    assert unit_of(ReplicaTraits.class_traits()["renew_jitter"]) == "fraction"
    assert unit_of(ReplicaTraits.class_traits()["advertised_url"]) is None


def test_a_default_that_depends_on_the_machine_is_put_into_words() -> None:
    told = {entry.setting.trait: entry.default for entry in entries("EnterpriseGatewayApp", KernelTraits)}

    assert told["max_concurrent_launches"] == "twice the processors, at least 4"
    assert told["max_kernels"] == "unset"


def test_every_setting_of_the_application_is_in_one_topic() -> None:
    told = [entry.setting.trait for owner in TOPICS.values() for entry in entries("EnterpriseGatewayApp", owner)]

    assert len(told) == len(set(told))
    assert set(GatewayTraits.class_traits(config=True)) - set(told) == {"env_whitelist", "env_process_whitelist"}


def test_the_page_tells_former_and_unsupported_names_too() -> None:
    page = render({"Example": Example})

    assert "## Example" in page
    for name in ("EG_RENEW_INTERVAL", "EG_SECOND", "KG_PORT", "EG_ENV_WHITELIST", "EG_YARN_*", "EG_REMOTE_*"):
        assert f"`{name}`" in page
