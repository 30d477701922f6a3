"""Fixtures of the tests that speak to the kernel."""

from tests.transport.kernel.child import has_namespaces

__all__ = ["has_namespaces"]
