"""Clients that cost little: they block, parse next to nothing, and count by bytes."""
