"""Measures what the guarantees cost."""
