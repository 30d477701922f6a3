"""Ringfence: a self-hosted governance and reliability plane for AI agents."""

__version__ = "0.1.0"
