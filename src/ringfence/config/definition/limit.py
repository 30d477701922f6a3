"""Counted limits of one run of an agent and everything below it."""

from ringfence.config.section import Section
from ringfence.domain.agent import Limits


def read_limits(section: Section, default: Limits) -> Limits:
    """Read `limits`; what is left out is as in `default`."""
    inner = section.section("limits", f"`limits` of {section.where}")
    if inner is None:
        return default
    output_tokens = inner.limit("output_tokens", default.output_tokens)
    written = inner.whole("default_output_tokens", least=1)
    if written is not None and output_tokens is not None and written > output_tokens:
        what = f"`default_output_tokens` of {section.where} is above `output_tokens`"
        inner.problem(inner.at("default_output_tokens"), what, "lower it, or raise the cap")
    limits = Limits(
        model_calls=inner.limit("model_calls", default.model_calls),
        tool_calls=inner.limit("tool_calls", default.tool_calls),
        calls_per_tool=inner.limit("calls_per_tool", default.calls_per_tool),
        commands=inner.limit("commands", default.commands),
        http_requests=inner.limit("http_requests", default.http_requests),
        http_bytes=inner.limit("http_bytes", default.http_bytes, most=10**15),
        http_call_bytes=_whole(inner, "http_call_bytes", default.http_call_bytes, 1),
        output_tokens=output_tokens,
        default_output_tokens=written or output_tokens or default.default_output_tokens,
        tokens=inner.limit("tokens", default.tokens),
        depth=_whole(inner, "depth", default.depth),
        sub_agents=_whole(inner, "sub_agents", default.sub_agents),
        sub_agents_alive=inner.limit("sub_agents_alive", default.sub_agents_alive),
        seconds=inner.limit("seconds", default.seconds),
        open_invocations=_whole(inner, "open_invocations", default.open_invocations, 1),
        new_invocations_per_minute=_whole(
            inner, "new_invocations_per_minute", default.new_invocations_per_minute, 1
        ),
        result_bytes=inner.limit("result_bytes", default.result_bytes),
        idle_seconds=_whole(inner, "idle_seconds", default.idle_seconds, 1),
    )
    inner.close()
    return limits


def _whole(section: Section, key: str, default: int, least: int = 0) -> int:
    value = section.whole(key, default, least=least)
    return default if value is None else value
