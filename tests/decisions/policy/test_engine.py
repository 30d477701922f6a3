import subprocess
import sys

import pytest

from ringfence.decisions.policy import engine
from ringfence.domain.error import UsageError

_PERMIT = "permit (principal, action, resource);"
_REQUEST = {
    "principal": engine.uid(("Agent", "a")),
    "action": engine.uid(("Action", "tool.call")),
    "resource": engine.uid(("Tool", "t__x")),
}


def _ask(text: str, context: str = "{}") -> engine.Answer:
    rules = {f"p{n}": body for n, body in enumerate(engine.parse(text))}
    entities = engine.compile_entities([])
    return engine.ask(engine.compile_rules(rules), entities, {**_REQUEST, "context": context})


def test_a_permit_allows_and_is_named() -> None:
    assert _ask(_PERMIT) == engine.Answer(is_allowed=True, policies=("p0",))


def test_nothing_that_permits_denies_without_a_problem() -> None:
    assert _ask("forbid (principal, action, resource);").problem == ""
    assert not _ask('permit (principal == Agent::"b", action, resource);').is_allowed


def test_a_forbid_that_cannot_be_evaluated_denies_beside_a_wide_permit() -> None:
    answer = _ask(_PERMIT + "forbid (principal, action, resource) when { context.n >= 100 };")
    assert not answer.is_allowed
    assert "p1" in answer.problem


@pytest.mark.parametrize(
    "context", ['{"n": 1.5}', '{"n": null}', "{", '{"n": 9223372036854775808}']
)
def test_a_context_that_cedar_cannot_read_denies(context: str) -> None:
    answer = _ask(_PERMIT, context)
    assert not answer.is_allowed
    assert answer.problem


def test_what_is_no_policy_is_told_in_cedars_words() -> None:
    with pytest.raises(UsageError) as caught:
        engine.parse("permit (principal action, resource);")
    assert caught.value.code == "policy_invalid"
    assert "unexpected token `action`" in caught.value.message


def test_a_template_is_refused() -> None:
    with pytest.raises(UsageError, match="templates"):
        engine.parse("permit (principal == ?principal, action, resource);")


def test_cedar_is_not_loaded_before_it_is_asked() -> None:
    program = (
        "import sys, ringfence.decisions.policy.policy_set, ringfence.app.worker\n"
        "sys.exit('cedarpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603
