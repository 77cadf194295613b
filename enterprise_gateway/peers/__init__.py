"""What replicas ask each other directly: only about a client that has come to another one."""
