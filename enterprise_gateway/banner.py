"""What the gateway says when it starts and when it leaves. Pure."""

from __future__ import annotations


def welcome(*, version: str, url: str, database: str, replica_id: str, token_required: bool) -> str:
    """Return the lines of the start: where it is, what it uses, how to connect."""
    how = f"jupyter lab --gateway-url={url}"
    if token_required:
        how = f"JUPYTER_GATEWAY_AUTH_TOKEN=… {how}"  # no option: other users of a machine can read a command line
    return (
        f"Jupyter Enterprise Gateway {version} is ready\n"
        f"    URL:       {url}\n"
        f"    Database:  {database}\n"
        f"    Replica:   {replica_id}\n"
        f"    Connect:   {how}"
    )


def patience(kernels: int, seconds: float) -> str:
    """Return the line of a stop that has to wait: for what, how long, and the way out."""
    what = "1 kernel that is" if kernels == 1 else f"{kernels} kernels that are"
    return f"Waiting for {what} being started or ended, up to {seconds:.0f} s; a second signal stops at once"


def farewell(left: int, *, others: int = 0) -> str:
    """Return the last lines: what goes on running of what this replica watched, and how to end it.

    Args:
        left: Kernels of this replica that run.
        others: Other replicas that live.
    """
    if not left:
        return "The gateway has stopped; none of its kernels is running."
    kernels = "1 kernel keeps" if left == 1 else f"{left} kernels keep"
    if others:
        return f"The gateway has stopped; {kernels} running, served by {others} other replica{'s' * (others > 1)}."
    return (
        f"The gateway has stopped; {kernels} running. Start a gateway on the same database to use them again, or to "
        "end them (DELETE /api/kernels/<id>). With EnterpriseGatewayApp.on_exit=stop (EG_ON_EXIT=stop) a gateway ends "
        "its kernels when it stops."
    )
