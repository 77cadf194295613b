"""What replicas ask each other directly: only for what a client that has come to another one did not get."""
