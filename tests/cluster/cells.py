"""Cells that several tests run."""

from __future__ import annotations

# Not flushed: whoever reads the line then finds the kernel in `sleep`. ipykernel loses one SIGINT of some 1,500 that
# comes while its main thread still waits for a flush.
ENDLESS = "import time\nprint('busy')\nwhile True:\n    time.sleep(0.1)"
"""Busy until it is interrupted."""
