"""Cells that make a kernel send, written for ipykernel."""

STREAM = """
kernel = get_ipython().kernel
parent = kernel.get_parent("shell")
def say(number):
    content = {{"name": "stdout", "text": f"message {{number:6}}, as long as a line of a log usually is\\n"}}
    kernel.session.send(kernel.iopub_socket, "stream", content, parent=parent, ident=b"stream.stdout")
"""

FLOOD = f"""{STREAM}
for number in range({{count}}):
    say(number)
"""
"""Stream messages as fast as a kernel can send them: without IPython's own buffer, which would put them together."""

TRICKLE = f"""{STREAM}
import time
began = time.perf_counter()
for number in range({{count}}):
    say(number)
    time.sleep(max(0, began + (number + 1) / {{rate}} - time.perf_counter()))
"""
"""Stream messages at so many a second, evenly."""

BUFFERS = """
kernel = get_ipython().kernel
parent = kernel.get_parent("shell")
content = {{"data": {{"text/plain": "a buffer"}}, "metadata": {{}}, "transient": {{}}}}
buffer = bytes({size})
for _ in range({count}):
    kernel.session.send(
        kernel.iopub_socket, "display_data", content, parent=parent, ident=b"display_data", buffers=[buffer]
    )
"""
"""Messages with a binary buffer each."""

PRINT = """
line = "x" * ({size} - 1)
for _ in range({lines}):
    print(line)
"""
"""Lines, as users print them: the kernel puts together what is printed within a fifth of a second."""
