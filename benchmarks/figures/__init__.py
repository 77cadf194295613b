"""What is measured: one function each, which measures once, on one subject."""
