"""What goes wrong between the gateway and a process, all under `ProvisioningError`.

The messages say what to do, and never hold an environment.
"""

from __future__ import annotations


class ProvisioningError(Exception):
    """Root of these errors."""


class LaunchError(ProvisioningError):
    """The process could not be started: its command, directory or environment can't be used."""


class EnvironmentTooLong(LaunchError):
    """Linux passes on no environment, or no variable, of this size."""


class NoRoom(LaunchError):
    """The host has no room for another process, at the moment: the command itself may be all right."""


class ProcessStillAlive(ProvisioningError):
    """The process was sent SIGKILL and was not seen to die, as happens in an uninterruptible wait for a disk."""


class UnsafeRuntimeDirectory(ProvisioningError):
    """The runtime directory is open to others, belongs to another user, or is too long for sockets."""


class ProvisionerMissing(ProvisioningError):
    """The kernelspec names a kernel provisioner that is not installed here."""


class ProvisionerNotRestorable(ProvisioningError):
    """After loading its own information the provisioner has no process: it serves the replica that launched only."""


class ProcessProxyUnsupported(ProvisioningError):
    """The kernelspec asks for a process proxy of Enterprise Gateway that does not exist here."""


class KernelOnOtherHost(ProvisioningError):
    """The kernel is a process of another host: it can be neither seen nor signalled from here."""
