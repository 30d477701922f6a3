from collections.abc import Callable

from ringfence.config.loading import Loaded
from ringfence.domain.model import BreakerRule, Pace

HEAD = """\
format: 1
organisation: acme
providers:
  p: {protocol: openai, base_url: "https://a.example/v1"}
models:
  m:
    provider: p
"""


def test_what_is_wrong_with_a_pace_or_a_breaker_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_paces_and_breakers_of_providers_and_models_are_read(
    load_text: Callable[..., Loaded],
) -> None:
    loaded = load_text(
        HEAD.replace(
            '"https://a.example/v1"}',
            '"https://a.example/v1", pace: {concurrent: 20}, breaker: {failures: unlimited}}',
        )
        + """\
    pace: {requests_per_minute: 60, concurrent: 4, queue_seconds: 2.5, queued: 7, agent_share: 0.5}
    breaker: {failures: 2, seconds: 30}
"""
    )
    acme = loaded.configuration.organisations["acme"]
    assert acme.providers["p"].pace == Pace(concurrent=20)
    assert acme.providers["p"].breaker == BreakerRule(failures=None)
    assert acme.models["m"].pace == Pace(
        requests_per_minute=60, concurrent=4, queue_seconds=2.5, queued=7, agent_share=0.5
    )
    assert acme.models["m"].breaker == BreakerRule(failures=2, open_s=30)


def test_what_is_left_out_is_no_pace_and_the_usual_breaker(
    load_text: Callable[..., Loaded],
) -> None:
    acme = load_text(HEAD).configuration.organisations["acme"]
    assert (acme.providers["p"].pace, acme.models["m"].pace) == (None, None)
    assert acme.models["m"].breaker == BreakerRule(failures=5, open_s=5)
