"""What a policy decision costs: `python -m bench.policy`.

Twenty rules in files, an agent with five patterns, two hundred tools with five arguments each, and
arguments of 300 bytes. Each figure is of single decisions, timed one by one: median and 99th
percentile.
"""

import json
import resource
import time
from collections.abc import Callable, Iterable

from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.decisions.policy.rule import Rule
from ringfence.decisions.policy.source import read_source
from ringfence.domain.action import ActionKind
from ringfence.domain.agent import Agent, Category, Scope
from ringfence.domain.caller import CallerTier
from ringfence.domain.model import Model
from ringfence.domain.organisation import Organisation, Team
from ringfence.domain.policy import PolicyVerdict, Question, ToolFacts
from ringfence.domain.tool import PermissionTier, ToolServer

_TOOLS = 200
_COUNT = 3_000
_NOW_US = 1_795_262_400_000_000

AGENT = Agent(
    name="triage",
    owner="ann@acme.example",
    team="support",
    category=Category.BOUNDED,
    purpose="",
    scope=Scope(
        models=frozenset({"small"}),
        tools=("crm__get_*", "crm__pay_*", "crm__list_*", "mail__*", "files__read_*"),
    ),
)
ACME = Organisation(
    name="acme",
    id="org_1",
    teams={"support": Team(name="support")},
    agents={"triage": AGENT},
    models={"small": Model(name="small", provider="house", upstream="small")},
    tools={name: ToolServer(name=name) for name in ("crm", "mail", "files")},
)
SCHEMA = {
    "type": "object",
    "properties": {
        "amount": {"type": "number"},
        "order": {"type": "string"},
        "note": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "urgent": {"type": "boolean"},
    },
    "required": ["order"],
}


def rules() -> tuple[Rule, ...]:
    """Five that read arguments of payments, fifteen that do not."""
    texts = [
        f'@id("pay-{number}") @ask("much")'
        ' forbid (principal, action == Action::"tool.call", resource in Pattern::"crm__pay_*")'
        " when { context.arguments has amount &&"
        f' context.arguments.amount.greaterThanOrEqual(decimal("{1000 + number}.0")) }};'
        for number in range(5)
    ]
    texts += [
        f'@id("team-{number}") forbid (principal in Team::"other-{number}", action, resource);'
        for number in range(5)
    ]
    texts += [
        f'@id("name-{number}")'
        ' forbid (principal, action == Action::"tool.call", resource)'
        f' when {{ resource.name like "wipe_{number}_*" }};'
        for number in range(5)
    ]
    texts += [
        f'@id("tier-{number}")'
        ' forbid (principal, action == Action::"tool.call", resource in Server::"mail")'
        f' when {{ context.tier == "irreversible" && context.seen.contains("l{number}") }};'
        for number in range(5)
    ]
    source = read_source({"rules.cedar": "\n".join(texts)})
    assert source.faults == ()
    assert len(source.rules) == 20
    return source.rules


def tools() -> dict[str, ToolFacts]:
    """A quarter of them payments."""
    schema = json.dumps(SCHEMA).encode()
    kinds = ("crm__get_", "crm__pay_", "mail__send_", "files__read_")
    return {
        f"{kinds[number % 4]}{number}": ToolFacts(input_schema=schema) for number in range(_TOOLS)
    }


def arguments(amount: int) -> bytes:
    """300 bytes."""
    whole = {"amount": amount, "order": "A-17", "tags": ["a", "b"], "urgent": True, "note": ""}
    short = json.dumps(whole).encode()
    whole["note"] = "x" * (300 - len(short))
    return json.dumps(whole).encode()


def question(
    name: str, raw: bytes = b"{}", action: ActionKind = ActionKind.TOOL_CALL, seen: str = ""
) -> Question:
    return Question(
        organisation="org_1",
        agent="triage",
        team="support",
        category=Category.BOUNDED,
        caller_tier=CallerTier.API,
        chain=("triage",),
        user=None,
        action=action,
        resource=name,
        tier=PermissionTier.WRITE,
        arguments=raw,
        seen=frozenset({seen} if seen else ()),
        now_us=_NOW_US,
    )


def figure(name: str, work: Iterable[Callable[[], object]]) -> None:
    spent: list[float] = []
    for each in work:
        began = time.perf_counter_ns()
        each()
        spent.append((time.perf_counter_ns() - began) / 1000)
    spent.sort()
    median, late = spent[len(spent) // 2], spent[int(len(spent) * 0.99)]
    print(f"| {name} | {median:,.1f} | {late:,.1f} |")


def deciding(policies: PolicySet, asked: Iterable[Question]) -> Iterable[Callable[[], object]]:
    return (lambda each=each: policies.decide(each) for each in asked)  # type: ignore[misc]  # bound now


def main() -> None:
    files, known = rules(), tools()
    policies = PolicySet(ACME, files, known)
    names = list(known)
    pay = [name for name in names if name.startswith("crm__pay_")]
    plain = [name for name in names if not name.startswith("crm__pay_")]
    assert policies.decide(question(pay[0], arguments(5))).verdict is PolicyVerdict.ALLOW
    assert policies.decide(question(pay[0], arguments(5000))).verdict is PolicyVerdict.ASK
    print("| µs | p50 | p99 |\n|---|---:|---:|")
    fresh = PolicySet(ACME, files, known)
    fresh.decide(question("mail__x"))  # compiles the agent's scope
    figure(
        "first decision of a slice: cut, compiled, asked",
        deciding(fresh, [question(name) for name in plain]),
    )
    figure(
        "first decision of a slice that reads arguments: validated, too",
        deciding(fresh, [question(name, arguments(1)) for name in pay]),
    )
    figure(
        "cold: arguments never seen before, Cedar is asked",
        deciding(
            policies, [question(pay[0], arguments(n)) for n in range(10_000, 10_000 + _COUNT)]
        ),
    )
    figure(
        "warm: policies read an argument, its value was seen before",
        deciding(policies, [question(pay[0], arguments(n % 50)) for n in range(_COUNT)]),
    )
    figure(
        "warm: policies read tier and what the run has seen",
        deciding(
            policies, [question("mail__send_2", arguments(n), seen="x") for n in range(_COUNT)]
        ),
    )
    figure(
        "warm: policies read no fact but the tier",
        deciding(policies, [question("crm__get_0", arguments(n)) for n in range(_COUNT)]),
    )
    listing = [question(name) for name in names]
    for each in listing:
        policies.may_list(each)
    figure(
        "list 200 tools, warm (whole listing)",
        [lambda: [policies.may_list(each) for each in listing]] * 200,
    )
    figure("model call, no policy speaks of models", [lambda: policies.speaks_of_models] * _COUNT)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nWhole process: {memory:.0f} MiB.")


if __name__ == "__main__":
    main()
