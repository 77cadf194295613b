"""Who may use the gateway, from where, and under which name."""

from __future__ import annotations

from traitlets import HasTraits, Type, Unicode

from enterprise_gateway.config.words import Words


class SecurityTraits(HasTraits):
    """Settings of authentication, authorization and cross-origin requests."""

    auth_token = Words(
        quoted=False,
        config=True,
        help="Tokens that clients must send, one of them, as `Authorization: token …`, `Authorization: Bearer …` or "
        "`?token=…`; comma-separated. Several at once allow to replace one without a stop: add the new one, move the "
        "clients, take the old one away. Without any, the gateway listens on loopback addresses only and checks `Host` "
        "and `Origin` of every request. Set it by the environment rather than the command line, which other users of "
        "the machine can read.",
    )
    admin_token = Words(
        quoted=False,
        config=True,
        help="Tokens of operators, comma-separated. They open what `auth_token` opens, and are asked for by what is an "
        "operator's alone. Without any, nobody is an operator.",
    )
    allow_credentials = Unicode(
        "",
        config=True,
        help="Value of the `Access-Control-Allow-Credentials` header: `true`, or empty for no header.",
    )
    allow_headers = Unicode(
        "",
        config=True,
        help="Value of the `Access-Control-Allow-Headers` header, such as `Authorization, Content-Type`; empty for no "
        "header. Web pages of other origins can send those.",
    )
    allow_methods = Unicode(
        "",
        config=True,
        help="Value of the `Access-Control-Allow-Methods` header, such as `GET, POST, DELETE`; empty for no header.",
    )
    allow_origin = Unicode(
        "",
        config=True,
        help="Origin whose web pages may use the gateway, such as `https://hub.example.org`, or `*` for any: the value "
        "of the `Access-Control-Allow-Origin` header, and allowed to open WebSockets. Empty allows the gateway's own.",
    )
    expose_headers = Unicode(
        "",
        config=True,
        help="Value of the `Access-Control-Expose-Headers` header, such as `Location`; empty for no header.",
    )
    max_age = Unicode(
        "",
        config=True,
        help="Seconds that a browser may remember the answer to a preflight request: the value of the "
        "`Access-Control-Max-Age` header; empty for no header.",
    )
    local_hostnames = Words(
        ("localhost",),
        config=True,
        help="Names, beside loopback addresses, that the `Host` header of a request may hold while there is no "
        "`auth_token`. Any other is refused, since a web page could have its own name resolved to this machine.",
    )
    authorized_users = Words(
        config=True,
        help="Users who may start kernels, compared with `KERNEL_USERNAME` (case matters), comma-separated; the others "
        "get 403. Empty allows everybody. A kernelspec may narrow it by `authorized_users` in its metadata's "
        "`process_proxy.config` or `kernel_provisioner.config`.",
    )
    unauthorized_users = Words(
        config=True,
        help="Users who may not start kernels, comma-separated, stronger than `authorized_users`. Empty by default, "
        "where EG has `root`: a container's only user is often root.",
    )
    authorizer_class = Type(
        "enterprise_gateway.authorization.AllowAll",
        klass=object,
        config=True,
        help="Import path of a class with jupyter_server's `Authorizer` interface, whose `is_authorized(handler, user, "
        "action, resource)` says who may do what; a refusal is answered by 403. The default allows everything to "
        "whoever has a token.",
    )
