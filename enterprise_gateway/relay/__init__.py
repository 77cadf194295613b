"""Between WebSockets and kernels: pure frames, one connection object a client, one subscription a kernel."""
