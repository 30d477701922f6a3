import pytest

from ringfence.config.definition.address import is_exact_host, is_exposed


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://api.example.com/v1", True),
        ("http://1.1.1.1", True),
        ("https://api.example.com/v1", False),
        ("http://localhost:8000", False),
        ("http://vllm:8000", False),
        ("http://models.internal", False),
        ("http://192.168.1.1", False),
        ("http://[::1]:1", False),
        ("no url", False),
    ],
)
def test_clear_text_is_exposed_only_on_the_way_to_public_hosts(
    url: str,
    expected: bool,  # noqa: FBT001 (a column of the table)
) -> None:
    assert is_exposed(url) is expected


@pytest.mark.parametrize("text", ["api.example.com", "192.0.2.1", "localhost", "xn--bcher-kva.de"])
def test_one_host_is_exact(text: str) -> None:
    assert is_exact_host(text)


@pytest.mark.parametrize("text", ["", "*.a.example", "a.example:443", "A.example", "a.example."])
def test_a_pattern_is_no_exact_host(text: str) -> None:
    assert not is_exact_host(text)
