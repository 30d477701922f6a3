"""Reliability: how often steps and runs worked, measured from traces, and what that comes to."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import msgspec

from ringfence.analysis import compounding
from ringfence.analysis.branch import Branch, Step, walk
from ringfence.analysis.compounding import Estimate, Remedy
from ringfence.domain.action import ActionKind
from ringfence.domain.event import Status

_SILENT = frozenset({"", Status.CLIENT_GONE.value})
"""Not ended yet, or the agent left: that says nothing of whether the step works."""


class Kind(msgspec.Struct, frozen=True, order=True):
    """Steps that are alike: whose they are, what they do and with what."""

    agent: str
    action: str
    resource: str


class Tally(msgspec.Struct, kw_only=True):
    """How steps went. A step is what was tried until it worked or was given up.

    `at_once` counts those that worked at the first try, `in_the_end` those that worked at any.
    `wasted_nano` (nano-dollars) and `wasted_us` (microseconds) are those of failed tries.
    """

    steps: int = 0
    at_once: int = 0
    in_the_end: int = 0
    tries: int = 0
    wasted_nano: int = 0
    wasted_us: int = 0

    def add(self, other: "Tally") -> None:
        """Count these steps too."""
        self.steps += other.steps
        self.at_once += other.at_once
        self.in_the_end += other.in_the_end
        self.tries += other.tries
        self.wasted_nano += other.wasted_nano
        self.wasted_us += other.wasted_us


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Steps of one kind: how they go, how often a run takes one, and what they cost a run.

    `steps_per_run` is a mean. `loss_ratio` is this kind's share, 0 to 1, of what all kinds
    together take from the success of a run.
    """

    kind: Kind
    tally: Tally
    success: Estimate
    steps_per_run: float
    loss_ratio: float


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One agent of a chain: its success per step, and over the steps that it takes in a run."""

    agent: str
    per_step: Estimate
    steps: float
    per_run: Estimate


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """What the record says of some runs.

    `first_try` and `per_step` are a step's success without and with the tries that followed;
    `per_run` is what the latter comes to over `steps_per_run`, the median; `observed` is how many
    runs had no step that failed for good. `chain` has every agent that took part; `parts` begins
    with the steps that cost most, `remedies` with what would help most.
    """

    runs: int
    steps_per_run: float
    first_try: Estimate
    per_step: Estimate
    first_try_per_run: Estimate
    per_run: Estimate
    observed: Estimate
    chain: list[Link]
    parts: list[Part]
    remedies: list[Remedy]


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """How often a run like this one works: its agents' success per step over its own steps.

    `runs` is how many earlier runs the success was measured in.
    """

    runs: int
    chain: list[Link]
    success: float


class _Run(msgspec.Struct, frozen=True):
    steps: int
    hand_overs: int
    """Invocations below the root: a step of the parent went into each."""
    has_worked: bool


def measure(roots: Iterable[Branch]) -> Reliability | None:
    """What these traces say; None if no step in them has ended."""
    tallies: dict[Kind, Tally] = {}
    runs: list[_Run] = []
    for root in roots:
        own = tally(root)
        if not own:
            continue
        for kind, each in own.items():
            tallies.setdefault(kind, Tally()).add(each)
        runs.append(
            _Run(
                sum(each.steps for each in own.values()),
                sum(1 for _ in walk(root)) - 1,
                all(each.in_the_end == each.steps for each in own.values()),
            )
        )
    return _reading(tallies, runs) if runs else None


def tally(root: Branch) -> dict[Kind, Tally]:
    """The steps of one trace by kind."""
    found: dict[Kind, Tally] = {}
    for branch in walk(root):
        for tries in _steps(branch.steps):
            kind = Kind(branch.agent_name or branch.agent, tries[0].kind, tries[0].resource)
            found.setdefault(kind, Tally()).add(_count(tries))
    return found


def outlook(root: Branch, known: Reliability) -> Outlook | None:
    """What `known` says of the steps that this run took; None if it took none that are measured."""
    steps: dict[str, int] = {}
    for kind, each in tally(root).items():
        steps[kind.agent] = steps.get(kind.agent, 0) + each.steps
    measured = {link.agent: link.per_step for link in known.chain}
    chain = [
        _link(agent, measured[agent], count) for agent, count in steps.items() if agent in measured
    ]
    if not chain:
        return None
    return Outlook(
        runs=known.runs, chain=chain, success=math.prod(link.per_run.value for link in chain)
    )


_NO_STEPS = frozenset({ActionKind.SHELL_EXEC, ActionKind.HTTP_REQUEST})


def _steps(steps: Sequence[Step]) -> Iterable[list[Step]]:
    """Tries of one step together: failures, and what was tried next of the same action kind.

    What a sandbox's programs do by the thousand is no step of the agent's own.
    """
    waiting: dict[str, list[Step]] = {}
    for step in steps:
        is_silent = not step.is_refused and step.status in _SILENT
        if is_silent or step.kind in _NO_STEPS:
            continue
        waiting.setdefault(step.kind, []).append(step)
        if _works(step):
            yield waiting.pop(step.kind)
    yield from waiting.values()


def _works(step: Step) -> bool:
    return not step.is_refused and step.status == Status.OK.value


def _count(tries: Sequence[Step]) -> Tally:
    failed = [each for each in tries if not _works(each)]
    return Tally(
        steps=1,
        at_once=int(not failed),
        in_the_end=int(len(failed) < len(tries)),
        tries=len(tries) + sum(each.repeats for each in failed),
        wasted_nano=sum(int(each.cost_nano) for each in failed),
        wasted_us=sum(each.duration_us for each in failed),
    )


def _reading(tallies: Mapping[Kind, Tally], runs: Sequence[_Run]) -> Reliability:
    whole = _sum(tallies.values())
    length = float(median(run.steps for run in runs))
    first_try = Estimate.of(whole.at_once, whole.steps)
    per_step = Estimate.of(whole.in_the_end, whole.steps)
    parts = _parts(tallies, len(runs))
    hand_overs = sum(run.hand_overs for run in runs) / len(runs)
    return Reliability(
        runs=len(runs),
        steps_per_run=length,
        first_try=first_try,
        per_step=per_step,
        first_try_per_run=first_try.over(length),
        per_run=per_step.over(length),
        observed=Estimate.of(sum(run.has_worked for run in runs), len(runs)),
        chain=_chain(tallies, len(runs)),
        parts=parts,
        remedies=_remedies(per_step.value, length, hand_overs, parts),
    )


def _sum(tallies: Iterable[Tally]) -> Tally:
    whole = Tally()
    for each in tallies:
        whole.add(each)
    return whole


def _chain(tallies: Mapping[Kind, Tally], runs: int) -> list[Link]:
    """Agents in the order in which they first took part."""
    by_agent: dict[str, Tally] = {}
    for kind, each in tallies.items():
        by_agent.setdefault(kind.agent, Tally()).add(each)
    return [
        _link(agent, Estimate.of(each.in_the_end, each.steps), each.steps / runs)
        for agent, each in by_agent.items()
    ]


def _link(agent: str, per_step: Estimate, steps: float) -> Link:
    return Link(agent=agent, per_step=per_step, steps=steps, per_run=per_step.over(steps))


def _parts(tallies: Mapping[Kind, Tally], runs: int) -> list[Part]:
    losses = {kind: compounding.loss(each.steps, each.in_the_end) for kind, each in tallies.items()}
    in_all = sum(losses.values())
    parts = [
        Part(
            kind=kind,
            tally=each,
            success=Estimate.of(each.in_the_end, each.steps),
            steps_per_run=each.steps / runs,
            loss_ratio=losses[kind] / in_all if in_all else 0.0,
        )
        for kind, each in tallies.items()
    ]
    return sorted(parts, key=lambda part: (-part.loss_ratio, -part.tally.wasted_nano, part.kind))


def _remedies(p: float, steps: float, hand_overs: float, parts: Sequence[Part]) -> list[Remedy]:
    if p >= 1.0:
        return []
    found = [compounding.fewer_steps(p, steps), compounding.checkpoint(p, steps)]
    if hand_overs:
        found.append(compounding.merged_agent(p, steps, hand_overs))
    rest = math.prod(part.success.over(part.steps_per_run).value for part in parts[1:])
    found.append(Remedy(what="without_worst", success=rest, steps=steps))
    return sorted(found, key=lambda remedy: -remedy.success)
