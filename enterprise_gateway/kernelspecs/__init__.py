"""The kernelspecs that may be used: found, kept for a moment, read off the event loop."""

from enterprise_gateway.kernelspecs.service import SpecService

__all__ = ["SpecService"]
