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
        help="Value of the `Access-Control-Allow-Credentials` header: `true`, or empty for no header. Not together "
        "with `allow_origin` `*`, which browsers refuse.",
    )
    allow_headers = Unicode(
        "",
        config=True,
        help="Request headers that web pages of an allowed origin may send, such as `Authorization, Content-Type`: the "
        "value of the `Access-Control-Allow-Headers` header. Empty allows those that Jupyter's clients send.",
    )
    allow_methods = Unicode(
        "",
        config=True,
        help="Methods that web pages of an allowed origin may use, such as `GET, POST`: the value of the "
        "`Access-Control-Allow-Methods` header. Empty allows those of the API.",
    )
    allow_origin = Unicode(
        "",
        config=True,
        help="Origins whose web pages may read answers and open WebSockets, such as `https://hub.example.org`, "
        "comma-separated, or `*` for any. Empty allows the gateway's own alone.",
    )
    expose_headers = Unicode(
        "",
        config=True,
        help="Headers of an answer that scripts of an allowed origin may read, such as `Location`: the value of the "
        "`Access-Control-Expose-Headers` header; empty for no header.",
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
