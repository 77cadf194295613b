from __future__ import annotations

import subprocess
import sys

HIDES_ITSELF = """
import ctypes, os
from enterprise_gateway.privacy import hide_memory
assert hide_memory()
PR_GET_DUMPABLE = 3
print(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
print(os.stat("/proc/self/ns/pid").st_ino > 0, os.path.exists(f"/proc/self/fd/{os.open('/', 0)}"))
"""


def test_a_process_that_hides_itself_is_not_for_others_and_still_sees_what_it_needs_of_itself() -> None:
    env = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", HIDES_ITSELF], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True", "True"]
