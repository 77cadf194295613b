"""Jupyter sessions: which notebook or console runs on which kernel."""
