"""How kernels come to run: processes of this host, seen by whoever shares it."""
