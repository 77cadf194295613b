"""What is measured: our gateway, the peers, and a kernel without any gateway."""
