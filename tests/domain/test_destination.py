"""How a destination is spelt."""

import pytest

from ringfence.domain.destination import Destination


@pytest.mark.parametrize(
    ("scheme", "host", "port", "resource", "origin"),
    [
        ("https", "api.example", 443, "api.example:443", "https://api.example"),
        ("https", "api.example", 8443, "api.example:8443", "https://api.example:8443"),
        ("http", "api.example", 443, "api.example:443", "http://api.example:443"),
        ("http", "::1", 80, "[::1]:80", "http://[::1]"),
    ],
)
def test_the_port_stands_where_it_is_not_the_usual_one(
    scheme: str, host: str, port: int, resource: str, origin: str
) -> None:
    destination = Destination(scheme=scheme, host=host, port=port)
    assert (destination.resource, destination.origin) == (resource, origin)
