import logging
from pathlib import Path

import pytest
from tests.stores.verification.recording import record

from ringfence.cli.serving import announcement, base_urls, tell_checkpoint
from ringfence.cli.terminal.style import Style
from ringfence.config.settings import Settings
from ringfence.stores.checkpoint import SigningKeys


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


def test_the_checkpoint_of_every_log_is_told_with_the_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Several workers write several logs; one alone would vouch for a part of the record."""
    record(tmp_path, 3, log_id="log_1")
    record(tmp_path, 4, log_id="log_2")
    with caplog.at_level(logging.INFO):
        tell_checkpoint(tmp_path)
    [told] = [each.__dict__ for each in caplog.records if "checkpoint" in each.message]
    assert str(SigningKeys(tmp_path).current().verifier()) == told["key"]
    assert [each.split()[0].rpartition("/")[2] for each in told["checkpoints"]] == [
        "log_1",
        "log_2",
    ]
    assert all(int(each.split()[1]) >= 3 for each in told["checkpoints"])
