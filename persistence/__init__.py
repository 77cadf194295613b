"""What the gateway remembers, in MongoDB, and nothing else: no HTTP, no kernels."""
