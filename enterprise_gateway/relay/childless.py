"""An ipykernel's search for its child processes, which it ends with itself: left out where it has none.

It looks for them with psutil, which reads a file of every process of the host: ten milliseconds of CPU where thirty
kernels run, and with each kernel more, for the end of every one. The system tells at once whether there is any child.
"""

from __future__ import annotations

# `_process_children` is ipykernel's own: one that calls it otherwise searches as ever. A child that has ended and was
# not waited for is one, too. What a child has left behind when it ended is no child any more, and was never found.
_SOURCE = """
import os
search = getattr(kernel, "_process_children", None)
def process_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []
    return search()
if search is not None and hasattr(os, "waitid"):
    kernel._process_children = process_children
"""
CODE = f"exec({_SOURCE!r}, {{'kernel': get_ipython().kernel}})"
"""One expression, so that no name is bound."""
