"""Why policies refuse an action, in words that a model can act on and a person understands."""

from ringfence.decisions.reason import quoted, whom_to_ask
from ringfence.domain.action import ActionKind
from ringfence.domain.agent import Agent
from ringfence.domain.policy import PolicyDecision, PolicyVerdict, Question
from ringfence.domain.verdict import Code, Reason

_NOUNS = {
    ActionKind.MODEL_CALL: "use model",
    ActionKind.TOOL_CALL: "call tool",
    ActionKind.HTTP_REQUEST: "reach host",
    ActionKind.SHELL_EXEC: "run command",
    ActionKind.AGENT_CALL: "call agent",
}
_PROBLEM_CHARACTERS = 400


def refusal_of(agent: Agent, question: Question, decision: PolicyDecision) -> Reason:
    """The reason for a decision that does not allow."""
    what = f"agent `{agent.name}` to {_NOUNS[question.action]} {quoted(question.resource)}"
    ask = whom_to_ask(agent)
    advice = f"Do not repeat this call unchanged; if it is needed, ask {ask}."
    if decision.problem:
        problem = " ".join(decision.problem.split())[:_PROBLEM_CHARACTERS]
        message = (
            f"Ringfence refused this call: its policies cannot judge whether to allow {what}, "
            f"because {problem}. Correct that and try again, or ask {ask}."
        )
    elif decision.verdict is PolicyVerdict.ASK:
        asked = "; ".join(decision.reasons)
        message = (
            f"Ringfence refused this call: a person must approve before it allows {what} "
            f"({asked}), and calls of this kind cannot wait for one. {advice}"
        )
    elif decision.policies:
        named = ", ".join(f"`{each}`" for each in decision.policies)
        why = f" ({'; '.join(decision.reasons)})" if decision.reasons else ""
        message = f"Ringfence refused this call: policy {named} forbids {what}{why}. {advice}"
    else:
        message = f"Ringfence refused this call: no policy permits {what}. {advice}"
    facts = [("resource", question.resource), ("ask", ask)]
    if decision.policies:
        facts.insert(0, ("policies", " ".join(decision.policies)))
    if decision.problem:
        facts.insert(0, ("problem", decision.problem[:_PROBLEM_CHARACTERS]))
    return Reason(code=Code.POLICY_DENIED, message=message, facts=tuple(facts))
