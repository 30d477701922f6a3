"""When a run that repeats itself is told so, and when it is stopped."""

import re

from ringfence.config.problem import shown
from ringfence.config.section import Section
from ringfence.domain.agent import LoopLimits, Threshold

_TOOL = re.compile(r"[A-Za-z0-9_.*?-]{1,128}")
_TOOL_HELP = "use a tool's name as the model knows it, with `*` for any characters"
_NEVER = Threshold(hint=None, stop=None)
_UNLIMITED = "unlimited"


def read_loops(section: Section) -> LoopLimits:
    """Read `loops` of an agent."""
    default = LoopLimits()
    example = "loops: {hint: 3, stop: 8}"
    inner = section.section("loops", f"`loops` of {section.where}", example)
    if inner is None:
        return default
    usual = _read_threshold(inner, default.usual)
    loops = LoopLimits(
        usual=usual,
        tools=_read_tools(inner, usual),
        no_progress=inner.limit("no_progress", default.no_progress, least=2),
        retries=inner.limit("retries", default.retries, least=4),
    )
    inner.close()
    return loops


def _read_threshold(section: Section, default: Threshold) -> Threshold:
    threshold = Threshold(
        hint=section.limit("hint", default.hint, least=2),
        stop=section.limit("stop", default.stop, least=2),
    )
    hint, stop = threshold.hint, threshold.stop
    if hint is not None and stop is not None and stop <= hint:
        what = f"`stop` of {section.where} must be above its `hint`"
        at = section.at("stop" if "stop" in section else "hint")
        section.problem(at, what, "or the model is stopped before it was told")
    return threshold


def _read_tools(section: Section, usual: Threshold) -> tuple[tuple[str, Threshold], ...]:
    inner = section.section("tools", f"`tools` in {section.where}", "tools: {get_job: unlimited}")
    if inner is None:
        return ()
    found: list[tuple[str, Threshold]] = []
    for name in inner:
        if not _TOOL.fullmatch(name):
            what = f"{shown(name)} is not a pattern of tool names"
            inner.problem(inner.at(name), what, _TOOL_HELP)
        found.append((name, _read_tool(inner, name, usual)))
    return tuple(found)


def _read_tool(section: Section, name: str, usual: Threshold) -> Threshold:
    if section.says(name, _UNLIMITED):
        return _NEVER
    inner = section.section(name, f"tool {shown(name)} in {section.where}", f"{name}: unlimited")
    if inner is None:
        return usual
    threshold = _read_threshold(inner, usual)
    inner.close()
    return threshold
