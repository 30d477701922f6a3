"""Logs and signals out."""
