from pathlib import Path

import pytest

from ringfence.cli.serving import announcement, base_urls
from ringfence.cli.terminal.style import Style
from ringfence.config.settings import Settings


def test_each_protocol_has_its_base_url() -> None:
    assert base_urls("127.0.0.1", 8484) == {
        "openai": "http://127.0.0.1:8484/v1",
        "anthropic": "http://127.0.0.1:8484",
        "gemini": "http://127.0.0.1:8484",
    }


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:1"),  # noqa: S104 (only compared)
        ("::", "http://[::1]:1"),
        ("plane.example", "http://plane.example:1"),
    ],
)
def test_a_base_url_can_be_reached(host: str, url: str) -> None:
    assert base_urls(host, 1)["anthropic"] == url


def test_the_announcement_says_where_and_how() -> None:
    settings = Settings(
        config=Path("a.yaml"), data=Path("d"), tls_cert=Path("c"), tls_key=Path("k")
    )
    text = "\n".join(announcement(settings, (1, 2), "triage", Style()))
    assert "https://127.0.0.1:1/v1" in text
    assert "https://127.0.0.1:2/api/v1" in text
    assert "ringfence agent token triage" in text
