"""What each part of a replica is told, made from the settings."""

from __future__ import annotations

import os
import pwd
from datetime import datetime

from enterprise_gateway import __version__
from enterprise_gateway.authorization import UserPolicy
from enterprise_gateway.config.cull_rules import cull_rules
from enterprise_gateway.config.environment import Environment
from enterprise_gateway.config.settings import GatewayTraits
from enterprise_gateway.handlers.options import CorsOptions, HandlerOptions
from enterprise_gateway.kernels.models import timestamp
from enterprise_gateway.kernels.settings import KernelSettings
from enterprise_gateway.kernels.slots import Limits
from enterprise_gateway.relay.first_cell import FirstCell
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.replica import Rhythm

SILENT_SECONDS = 60.0


def kernel_settings(settings: GatewayTraits, environment: Environment, *, embedded: bool) -> KernelSettings:
    """What launches, restarts and stops are told; `embedded`: is the database this host's own?"""
    mirror = settings.mirror_working_dirs
    return KernelSettings(
        limits=Limits(
            in_total=settings.max_kernels,
            per_user=None if settings.max_kernels_per_user < 0 else settings.max_kernels_per_user,
        ),
        launch_timeout_seconds=settings.kernel_launch_timeout,
        autorestart=settings.autorestart,
        restart_limit=settings.restart_limit,
        shutdown_wait_seconds=settings.shutdown_wait_time,
        first_cell=FirstCell(
            send_mark=settings.kernel_send_mark,
            freeze=settings.kernel_gc_freeze,
            quick_end=settings.kernel_quick_end,
        ),
        max_concurrent_launches=settings.max_concurrent_launches,
        answer_before_ready=settings.answer_before_ready,
        client_envs=settings.client_envs,
        inherited=environment.inherited(settings.inherited_envs),
        home=process_home(),
        mirror_working_dirs=embedded if mirror is None else mirror,
        own_cull_timeout=settings.cull_own_timeout,
        silent_seconds=_silent_seconds(settings),
    )


def _silent_seconds(settings: GatewayTraits) -> float:
    """A kernel is asked, and has had the time to answer, before it may be culled as idle."""
    shortest = cull_rules(settings).shortest_timeout_seconds
    return SILENT_SECONDS if shortest is None else min(SILENT_SECONDS, shortest / 2)


def relay_options(settings: GatewayTraits) -> RelayOptions:
    """The bounds of the relay."""
    return RelayOptions(
        max_message_bytes=settings.max_message_bytes,
        client_buffer_bytes=settings.client_buffer_bytes,
        kernel_queue_bytes=settings.kernel_queue_bytes,
        ping_interval_seconds=settings.ws_ping_interval,
        reconnect_seconds=settings.reconnect_timeout,
        reconnect_buffer_bytes=settings.reconnect_buffer_bytes,
    )


def handler_options(settings: GatewayTraits, *, started: datetime) -> HandlerOptions:
    """What the handlers are told; `started`: since when the replica serves, by the database's clock."""
    return HandlerOptions(
        base_url=settings.base_url,
        process_user=process_user(),
        started=timestamp(started),
        version=__version__,
        list_kernels=settings.list_kernels,
        max_body_bytes=settings.max_body_bytes,
        allowed_hosts=settings.local_hostnames,
        cors=CorsOptions(
            allow_origin=settings.allow_origin,
            allow_methods=settings.allow_methods,
            allow_headers=settings.allow_headers,
            allow_credentials=settings.allow_credentials,
            expose_headers=settings.expose_headers,
            max_age=settings.max_age,
        ),
    )


def user_policy(settings: GatewayTraits) -> UserPolicy:
    """Who may use the gateway."""
    return UserPolicy(authorized_users=settings.authorized_users, unauthorized_users=settings.unauthorized_users)


def rhythm(settings: GatewayTraits) -> Rhythm:
    """How often a replica does what it does again and again."""
    return Rhythm(
        look_interval_seconds=settings.renew_interval,
        flush_interval_seconds=settings.flush_interval,
        drain_timeout_seconds=settings.drain_timeout,
    )


def process_user() -> str:
    """Return the name of the user whose process this is, or its number where it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def process_home() -> str:
    """Return the home directory of the user whose process this is; `/` where there is none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"
