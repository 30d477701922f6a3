"""How reliability is told to people: shares in per cent, arithmetic in words."""

from collections.abc import Sequence

from ringfence.analysis.compounding import Estimate, Remedy, step_needed, steps_within
from ringfence.analysis.reliability import Link, Outlook, Part, Reliability
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.text import counted, harmless
from ringfence.domain.money import Money, format_usd

_GOAL = 0.95
_LABEL_CELLS = 10
_ALMOST = 0.9999
_WORDS = {
    "fewer_steps": "half as many steps",
    "checkpoint": "a check half-way and at the end, with one more try of what failed",
    "merged_agent": "one agent without hand-overs",
    "without_worst": "if the step that costs most never failed",
}


def reliability_lines(known: Reliability, style: Style) -> list[str]:
    """What the record says of an agent's runs."""
    facts = {
        "per step": f"{_with_interval(known.per_step)} work, "
        f"{percent(known.first_try.value)} at the first try",
        "per run": f"{percent(known.per_run.value)} of runs of {_number(known.steps_per_run)} "
        f"steps by arithmetic ({percent(known.first_try_per_run.value)} without further tries); "
        f"seen: {_with_interval(known.observed)}",
        "chain": _chain(known.chain) if len(known.chain) > 1 else "",
        "costs most": _worst(known.parts[0]),
        "would help": "; ".join(_remedy(each) for each in known.remedies),
        "for 95 %": _goal(known),
    }
    heading = f"reliability, from the latest {counted(known.runs, 'run')}"
    return [style.dim(heading), *_labelled(facts, style)]


def outlook_lines(seen: Outlook, style: Style) -> list[str]:
    """What a run with the steps of a trace comes to."""
    measured = f"measured in {counted(seen.runs, 'run')} of the agent"
    text = f"{percent(seen.success)} of runs like this one work: {_chain(seen.chain)}, {measured}"
    return _labelled({"outlook": text}, style)


def percent(share: float) -> str:
    """One decimal; what is not quite all does not look like all."""
    if _ALMOST < share < 1.0:
        return "> 99.9 %"
    return f"{share * 100:.1f} %".replace(".0 %", " %")


def _with_interval(each: Estimate) -> str:
    low, high = each.low * 100, each.high * 100
    return f"{percent(each.value)} of {each.trials:,} ({low:.1f} to {high:.1f})"


def _chain(chain: Sequence[Link]) -> str:
    return " × ".join(
        f"{link.agent} {percent(link.per_step.value)}^{_number(link.steps)}" for link in chain
    )


def _worst(part: Part) -> str:
    """The step whose failures cost most; empty where nothing failed."""
    failed = part.tally.tries - part.tally.in_the_end
    if not failed:
        return ""
    kind = part.kind
    tries = "try" if failed == 1 else "tries"
    text = f"{kind.agent}: {kind.action} {kind.resource}, {failed:,} failed {tries}"
    if part.loss_ratio:
        text += f", {percent(part.loss_ratio)} of what is lost"
    wasted = part.tally.wasted_nano
    return f"{text}, {format_usd(Money(wasted))} for them" if wasted else text


def _remedy(each: Remedy) -> str:
    return f"{_WORDS[each.what]}: {percent(each.success)}"


def _goal(known: Reliability) -> str:
    if known.per_run.value >= _GOAL:
        return ""
    most = steps_within(known.per_step.value, _GOAL)
    needed = percent(step_needed(known.steps_per_run, _GOAL))
    return f"at most {counted(most or 0, 'step')} as they are, or {needed} per step"


def _labelled(facts: dict[str, str], style: Style) -> list[str]:
    return [
        f"  {style.dim(f'{name:<{_LABEL_CELLS}}')} {harmless(text)}"
        for name, text in facts.items()
        if text
    ]


def _number(steps: float) -> str:
    return f"{steps:.1f}".removesuffix(".0")
