from __future__ import annotations

from typing import Any

import pytest
from traitlets import Unicode
from traitlets.config import Config, Configurable

from enterprise_gateway.authorization import AllowAll, UserPolicy, make_authorizer
from enterprise_gateway.errors import GatewayError


def metadata(launcher: str = "process_proxy", **config: Any) -> dict[str, Any]:
    return {launcher: {"class_name": "x", "config": config}}


@pytest.mark.parametrize(
    ("policy", "spec", "allowed"),
    [
        (UserPolicy(), {}, True),
        (UserPolicy(authorized_users=["alice"]), {}, True),
        (UserPolicy(authorized_users=["bob"]), {}, False),
        (UserPolicy(unauthorized_users=["alice"]), {}, False),
        (UserPolicy(authorized_users=["alice"], unauthorized_users=["alice"]), {}, False),
        (UserPolicy(), metadata(unauthorized_users="bob, alice"), False),
        (UserPolicy(), metadata(unauthorized_users=["alice"]), False),
        (UserPolicy(), metadata(authorized_users="alice,bob"), True),
        (UserPolicy(authorized_users=["bob"]), metadata(authorized_users=["alice"]), True),
        (UserPolicy(authorized_users=["alice"]), metadata(authorized_users=["bob"]), False),
        (UserPolicy(authorized_users=["alice"]), metadata(authorized_users=[]), True),
        (UserPolicy(unauthorized_users=["alice"]), metadata(authorized_users=["alice"]), False),
        (UserPolicy(), metadata("kernel_provisioner", authorized_users="bob"), False),
        (UserPolicy(), metadata("kernel_provisioner", unauthorized_users="alice"), False),
        (UserPolicy(), metadata(authorized_users="Alice"), False),
        (UserPolicy(), metadata(authorized_users=7), False),
        (UserPolicy(), {"process_proxy": {"config": "?"}, "kernel_provisioner": 1}, True),
    ],
)
def test_lists_of_users_follow_the_rules_of_enterprise_gateway(
    policy: UserPolicy, spec: dict[str, Any], allowed: bool
) -> None:
    assert policy.allows("alice", spec) is allowed


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (UserPolicy(unauthorized_users=["bob"]), "User 'bob' is not authorized to start kernel 'Python 3'."),
        (UserPolicy(authorized_users=["eve"]), "User 'bob' is not in the set of users authorized to start kernel 'Py"),
    ],
)
def test_a_refusal_says_which_list_it_was(policy: UserPolicy, says: str) -> None:
    with pytest.raises(GatewayError) as refused:
        policy.check("bob", "Python 3", {})
    assert refused.value.status == 403
    assert refused.value.message.startswith(says)


class Configured(Configurable):
    allowed = Unicode("", config=True)

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return resource == self.allowed


class Plain:
    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return False


def test_a_configurable_authorizer_gets_its_settings() -> None:
    parent = Configurable(config=Config({"Configured": {"allowed": "kernels"}}))
    assert make_authorizer(Configured, parent).is_authorized(None, None, "read", "kernels")


def test_an_authorizer_may_be_any_class() -> None:
    assert isinstance(make_authorizer(Plain, Configurable()), Plain)


def test_without_a_class_everything_is_allowed() -> None:
    assert isinstance(make_authorizer(None, Configurable()), AllowAll)
