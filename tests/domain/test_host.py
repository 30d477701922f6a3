import pytest

from ringfence.domain.host import is_private


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "::1",
        "10.1.2.3",
        "vllm",
        "a.internal",
        "Printer.LOCAL.",
        "fd00::1",
    ],
)
def test_hosts_inside_are_private(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize("host", ["8.8.8.8", "api.example.com", "2001:4860:4860::8888", "a.localx"])
def test_hosts_outside_are_not(host: str) -> None:
    assert not is_private(host)
