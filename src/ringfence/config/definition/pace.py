"""How fast providers and models may be called, and when they are left alone."""

from ringfence.config.section import Section
from ringfence.domain.model import BreakerRule, Pace

_PACE = Pace()
_BREAKER = BreakerRule()
_LONGEST_WAIT_S = 300
_LONGEST_OPEN_S = 300


def read_pace(section: Section) -> Pace | None:
    """Read `pace` of a provider or a model."""
    inner = section.section("pace", f"`pace` of {section.where}", "pace: {concurrent: 20}")
    if inner is None:
        return None
    pace = Pace(
        requests_per_minute=inner.whole("requests_per_minute", least=1, most=1_000_000),
        concurrent=inner.whole("concurrent", least=1, most=100_000),
        queue_seconds=inner.ratio(
            "queue_seconds", _PACE.queue_seconds, above=0, most=_LONGEST_WAIT_S
        ),
        queued=inner.whole("queued", _PACE.queued, least=1, most=10_000) or _PACE.queued,
        agent_share=inner.ratio("agent_share", _PACE.agent_share, above=0, most=1),
    )
    if "requests_per_minute" not in inner and "concurrent" not in inner:
        what = f"`pace` of {section.where} sets no limit"
        inner.problem(inner.place, what, "add `requests_per_minute` or `concurrent`")
    inner.close()
    return pace


def read_breaker(section: Section) -> BreakerRule:
    """Read `breaker` of a provider or a model."""
    inner = section.section("breaker", f"`breaker` of {section.where}", "breaker: {failures: 5}")
    if inner is None:
        return _BREAKER
    rule = BreakerRule(
        failures=inner.limit("failures", _BREAKER.failures),
        open_s=inner.ratio("seconds", _BREAKER.open_s, above=0, most=_LONGEST_OPEN_S),
    )
    inner.close()
    return rule
