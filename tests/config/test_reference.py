from collections.abc import Callable

HEAD = """\
format: 1
organisation: acme
providers:
  p: {protocol: openai, base_url: "http://localhost:1"}
  q: {protocol: anthropic, base_url: "http://localhost:1"}
models:
  other: {provider: p}
  claude: {provider: q}
"""
"""Eight lines, so that what a test adds begins on line 9."""


def test_a_fallback_that_cannot_work_is_refused(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_fallbacks_that_go_round_are_refused_once(problems_of: Callable[..., list[str]]) -> None:
    text = """\
  a: {provider: p, fallback: [b]}
  b: {provider: p, fallback: [other, c]}
  c: {provider: p, fallback: [a]}
"""
    assert problems_of(HEAD + text) == [
        "9:31: the fallbacks go round: `a` → `b` → `c` → `a` | remove one of them"
    ]


def test_a_long_chain_of_fallbacks_is_judged_without_recursion(
    problems_of: Callable[..., list[str]],
) -> None:
    chain = "".join(f"  m{i}: {{provider: p, fallback: [m{i + 1}]}}\n" for i in range(1500))
    assert problems_of(HEAD + chain + "  m1500: {provider: p}\n") == []


BUDGETS = """\
format: 1
organisation: {name: acme, budget: {usd: 5, per: day}}
users: {ann: {}}
teams:
  support: {budget: [{usd: 6, per: day}, {usd: 7, per: week}]}
agents:
  triage:
    owner: ann
    team: support
    budget: [{usd: 8, per: week}, {usd: 9, per: invocation}, {usd: 5, per: day}]
"""


def test_a_budget_larger_than_a_wider_one_is_noted(notes_of: Callable[..., list[str]]) -> None:
    team = "team `support`"
    never = "can never be used up"
    assert notes_of(BUDGETS) == [
        f"5:22: the budget per day of {team} {never} | the organisation has less per day",
        f"10:14: the budget per week of agent `triage` {never} | {team} has less per week",
    ]
