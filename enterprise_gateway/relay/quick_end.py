"""What keeps the end of an ipykernel short: it leaves out a search for nothing, and ends its threads in an order.

It looks for child processes, to end them with itself, by psutil, which reads a file of every process of the host: ten
milliseconds of CPU where thirty kernels run, and with each kernel more, for the end of every one. The system tells at
once whether there is any child.

Its control thread, which is asked to end it, has its main thread end all threads while it may itself be about to hand
the last status to the one that sends on IOPub: the hand-over then waits for ever, and all with it. So the main thread
waits until the control thread has ended.
"""

from __future__ import annotations

# Names with an underscore are ipykernel's own: where one is missing, all stays as it was. A child that has ended and
# was not waited for is one, too. What a child has left behind when it ended is no child any more, and was never found.
_SOURCE = """
import os
search = getattr(kernel, "_process_children", None)
control = getattr(kernel, "control_thread", None)
stop = getattr(getattr(kernel, "io_loop", None), "stop", None)
def process_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []
    return search()
def stop_after_control():
    if getattr(kernel, "_shutdown_message", None) is not None:
        control.join(5)
    stop()
if search is not None and hasattr(os, "waitid"):
    kernel._process_children = process_children
if stop is not None and hasattr(control, "join"):
    kernel.io_loop.stop = stop_after_control
"""
CODE = f"exec({_SOURCE!r}, {{'kernel': get_ipython().kernel}})"
"""One expression, so that no name is bound."""
