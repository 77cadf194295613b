"""Kernels on this replica: found here, else hydrated from their records; launched, restarted and stopped by acts."""
