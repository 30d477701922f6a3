"""Reasons for refusals, in words that a model can act on and a person understands."""

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from math import ceil

from ringfence.decisions.budget import Line, Shortfall
from ringfence.decisions.window import local_time
from ringfence.domain.agent import Agent
from ringfence.domain.budget import BudgetScope, Per
from ringfence.domain.money import Money, format_usd, to_usd
from ringfence.domain.verdict import Code, Reason

_ADJECTIVES = {
    Per.INVOCATION: "",
    Per.TREE: "",
    Per.HOUR: "hourly ",
    Per.DAY: "daily ",
    Per.WEEK: "weekly ",
    Per.MONTH: "monthly ",
    Per.TOTAL: "total ",
}
_QUOTED_CHARACTERS = 80
_LISTED_NAMES = 20


def whom_to_ask(agent: Agent) -> str:
    """The escalation contact, else the owner, who always exists."""
    return agent.escalate_to or agent.owner


def budget(agent: Agent, shortfall: Shortfall, holder: str, tz: tzinfo) -> Reason:
    """A reservation did not fit. `holder` is the name of the user, team or organisation."""
    line = shortfall.line
    subject = _subject(agent, line, holder)
    total = f"{format_usd(line.limit)} {_ADJECTIVES[line.key.per]}budget"
    state = (
        f"is {format_usd(Money(-line.left))} over its {total}"
        if line.is_closed
        else f"has {format_usd(line.left)} left of its {total}"
    )
    resets_us = shortfall.resets_at_us
    resets_at = "" if resets_us is None else local_time(resets_us, tz).isoformat(timespec="minutes")
    again = f" The budget starts again at {resets_at}." if resets_at else ""
    return _refusal(
        Code.BUDGET_EXHAUSTED,
        agent,
        f"{subject} {state} and this call could cost up to {format_usd(shortfall.needed)}.{again}",
        (
            ("budget", f"{line.key.scope.value} per {line.key.per.value}"),
            ("limit_usd", _usd(line.limit)),
            ("left_usd", _usd(line.left)),
            ("needed_usd", _usd(shortfall.needed)),
            ("resets_at", resets_at or "never"),
        ),
    )


def output_passed(agent: Agent, reserved_tokens: int) -> Reason:
    """A stream was cut because it passed the output that money was set aside for."""
    return Reason(
        code=Code.BUDGET_EXHAUSTED,
        message=(
            f"Ringfence cut this answer: it passed the {reserved_tokens:,} tokens that money was "
            f"set aside for. {_advice(agent)}"
        ),
        facts=(("reserved_tokens", str(reserved_tokens)), ("ask", whom_to_ask(agent))),
    )


def limit(agent: Agent, name: str, allowed: int, words: str) -> Reason:
    """A counted limit of the configuration is used up. `words` say what the limit allows."""
    return _refusal(
        Code.LIMIT_REACHED,
        agent,
        f"agent `{agent.name}` may {words}.",
        (("limit", name), ("allowed", str(allowed))),
    )


def rate(agent: Agent, words: str, retry_after_s: float) -> Reason:
    """Too much in a minute; waiting helps."""
    return Reason(
        code=Code.RATE_EXCEEDED,
        message=(
            f"Ringfence delayed this call: {words}. "
            f"Wait {ceil(retry_after_s)} seconds before trying again."
        ),
        facts=(("retry_after_s", f"{retry_after_s:.3f}"), ("ask", whom_to_ask(agent))),
    )


def out_of_scope(agent: Agent, kind: str, name: str, usable: Iterable[str] = ()) -> Reason:
    """The same text for what does not exist and for what is not this agent's."""
    names = sorted(usable)[:_LISTED_NAMES]
    offer = f" It may use: {', '.join(names)}." if names else ""
    return _refusal(
        Code.OUT_OF_SCOPE,
        agent,
        f"agent `{agent.name}` has no {kind} {quoted(name)}.{offer}",
        ((kind, name[:_QUOTED_CHARACTERS]),),
    )


def tool_unknown(agent: Agent, name: str) -> Reason:
    """The same text for a tool that does not exist and for one that is not this agent's."""
    return _refusal(
        Code.TOOL_UNKNOWN,
        agent,
        f"agent `{agent.name}` has no tool {quoted(name)}.",
        (("tool", name[:_QUOTED_CHARACTERS]),),
    )


def tool_held(agent: Agent, name: str, state: str, why: str) -> Reason:
    """A tool is not as it was when somebody accepted it; `why` is a clause for people."""
    return _refusal(
        Code.TOOL_CHANGED,
        agent,
        f"tool {quoted(name)} is held, because {why or 'it is not what was accepted'}. Somebody "
        "has to look at `ringfence tools diff` and accept it.",
        (("tool", name[:_QUOTED_CHARACTERS]), ("state", state)),
    )


def arguments_invalid(name: str, problems: Iterable[str]) -> Reason:
    """What was sent is not what the tool's schema allows; the model can mend that by itself."""
    listed = [*problems]
    message = (
        f"Ringfence did not call tool {quoted(name)}: its arguments are not what its schema "
        f"allows: {'; '.join(listed)}. Call it again with these corrected."
    )
    return Reason(
        code=Code.ARGUMENTS_INVALID,
        message=message,
        facts=(("tool", name[:_QUOTED_CHARACTERS]), ("problems", str(len(listed)))),
    )


def behind_a_door(name: str, server: str) -> Reason:
    """A tool of a server was asked for as if the agent ran it by itself."""
    return Reason(
        code=Code.REQUEST_MALFORMED,
        message=f"Ringfence calls {quoted(name)} itself: call it as an MCP tool at "
        f"/mcp/{server}. Actions are for tools of `runs: agent` alone.",
    )


def tool_refuses(agent: Agent, name: str, failures: int) -> Reason:
    """A tool or its server has refused our credential, or an agent's calls, again and again."""
    return Reason(
        code=Code.TOOL_UNAVAILABLE,
        message=(
            f"Ringfence did not call {quoted(name)}: it has refused such calls {failures} times "
            f"(401 or 403). Stop here: no retry can succeed. Tell {whom_to_ask(agent)}, and go on "
            "without it if you can."
        ),
        facts=(("tool", name[:_QUOTED_CHARACTERS]), ("ask", whom_to_ask(agent))),
    )


def tool_away(name: str, cause: str, failures: int, wait_s: float) -> Reason:
    """A tool or its server failed so often that it is left alone."""
    return Reason(
        code=Code.TOOL_UNAVAILABLE,
        message=(
            f"Ringfence did not call {quoted(name)}: it failed {failures} times in a row ({cause}) "
            f"and is left alone for now. Go on without it, or try again in {ceil(wait_s)} seconds. "
            "Other tools are not affected."
        ),
        facts=(
            ("tool", name[:_QUOTED_CHARACTERS]),
            ("retry_after_s", f"{wait_s:.3f}"),
            ("cause", cause),
        ),
    )


def tool_stopped(agent: Agent, name: str, words: str) -> Reason:
    """The rules of a tool end the run when it fails like this; `words` say how it failed."""
    return _refusal(
        Code.TOOL_UNAVAILABLE,
        agent,
        f"{words} The run is now over.",
        (("tool", name[:_QUOTED_CHARACTERS]),),
    )


def nobody_to_ask(agent: Agent, name: str) -> Reason:
    """A person must approve it, and this plane has no way to ask one."""
    return _refusal(
        Code.POLICY_DENIED,
        agent,
        f"a person must approve {quoted(name)}, and nobody can be asked here.",
        (("resource", name[:_QUOTED_CHARACTERS]),),
    )


def wrong_protocol(agent: Agent, name: str, protocol: str) -> Reason:
    """The model is the agent's, but its provider speaks another protocol than this path."""
    return _refusal(
        Code.OUT_OF_SCOPE,
        agent,
        f"model {quoted(name)} is not served on this path; its provider speaks the {protocol} "
        "protocol.",
        (("model", name[:_QUOTED_CHARACTERS]), ("protocol", protocol)),
    )


def suspended(agent: Agent) -> Reason:
    """A person suspended the agent."""
    return _refusal(Code.AGENT_SUSPENDED, agent, f"agent `{agent.name}` is suspended.")


def retired(agent: Agent) -> Reason:
    """The agent is no longer in the configuration, or a person retired it."""
    return _refusal(Code.AGENT_RETIRED, agent, f"agent `{agent.name}` is retired.")


def user_unknown(agent: Agent, name: str) -> Reason:
    """The user is proven, but nothing says that agents may act for them."""
    return _refusal(
        Code.USER_UNKNOWN,
        agent,
        f"agent `{agent.name}` may not act for user {quoted(name)}.",
        (("user", name[:_QUOTED_CHARACTERS]),),
    )


def proof_refused(agent: Agent, cause: str) -> Reason:
    """What should prove the user does not; `cause` says why in words, and holds none of it."""
    return _refusal(
        Code.PROOF_REFUSED,
        agent,
        f"the proof of whom agent `{agent.name}` acts for was refused: {cause}.",
    )


def invocation_closed(agent: Agent, invocation: str) -> Reason:
    """The invocation is finished, stopped or expired."""
    return _refusal(
        Code.INVOCATION_CLOSED,
        agent,
        f"invocation {quoted(invocation)} is closed.",
        (("invocation", invocation[:_QUOTED_CHARACTERS]),),
    )


def invocation_stopped(agent: Agent, invocation: str, cause: str) -> Reason:
    """The invocation was stopped; `cause` is a clause without a full stop."""
    return _refusal(
        Code.INVOCATION_STOPPED,
        agent,
        f"invocation {quoted(invocation)} was stopped: {cause}.",
        (("invocation", invocation[:_QUOTED_CHARACTERS]),),
    )


def invocation_unknown(agent: Agent, name: str) -> Reason:
    """The same text for an id that does not exist and for another agent's."""
    return _refusal(
        Code.INVOCATION_UNKNOWN,
        agent,
        f"agent `{agent.name}` has no invocation {quoted(name)}.",
        (("invocation", name[:_QUOTED_CHARACTERS]),),
    )


def invocation_required(agent: Agent) -> Reason:
    """The agent is configured with `invocations: declared`."""
    return _refusal(
        Code.INVOCATION_REQUIRED,
        agent,
        f"agent `{agent.name}` must open an invocation first (POST /ringfence/v1/invocations) "
        "and call with its token.",
    )


def hosted_tool(agent: Agent, name: str) -> Reason:
    """A tool that the provider would run is not among the model's `hosted_tools`."""
    return _refusal(
        Code.HOSTED_TOOL,
        agent,
        f"the tool {quoted(name)} would be run by the provider, which is not allowed for this "
        "model. Leave it out of the request.",
        (("tool", name[:_QUOTED_CHARACTERS]),),
    )


def priced_field(agent: Agent, name: str) -> Reason:
    """A field changes the price and is not among the model's `allow_priced_fields`."""
    return _refusal(
        Code.FIELD_REFUSED,
        agent,
        f"the field {quoted(name)} changes the price of the call, which is not allowed for this "
        "model. Leave it out of the request.",
        (("field", name[:_QUOTED_CHARACTERS]),),
    )


def too_many_uses(agent: Agent, asked: int, allowed: int) -> Reason:
    """The client lets the provider run its tools more often than is reserved for."""
    return _refusal(
        Code.FIELD_REFUSED,
        agent,
        f"the request lets the provider use its tools {asked} times, and {allowed} are allowed for "
        "this model. Ask for fewer (`max_uses`, `max_tool_calls`).",
        (("allowed", str(allowed)),),
    )


def too_many_answers(agent: Agent, answers: int, allowed: int) -> Reason:
    """More answers at once than any provider gives."""
    return _refusal(
        Code.FIELD_REFUSED,
        agent,
        f"the request asks for {answers:,} answers; at most {allowed} are possible.",
        (("answers", str(answers)), ("allowed", str(allowed))),
    )


def outside_input(agent: Agent, name: str) -> Reason:
    """A field brings input that is not in the body, so that its price has no bound."""
    return _refusal(
        Code.INPUT_UNBOUNDED,
        agent,
        f"the field {quoted(name)} brings in input that is not in the request, so the price of "
        "the call has no bound. Send the input itself.",
        (("field", name[:_QUOTED_CHARACTERS]),),
    )


def unbounded_media(agent: Agent, kind: str, setting: str) -> Reason:
    """Images or other media, and no bound configured for this model."""
    return _refusal(
        Code.INPUT_UNBOUNDED,
        agent,
        f"the request contains {kind}, and `{setting}` is not set for this model, so the price "
        "of the call has no bound. Leave them out of the request.",
        (("setting", setting),),
    )


def provider_object(agent: Agent, name: str) -> Reason:
    """The same text for an object that does not exist and for another agent's."""
    return _refusal(
        Code.PROVIDER_OBJECT,
        agent,
        f"agent `{agent.name}` has no stored object {quoted(name)} at the provider.",
        (("object", name[:_QUOTED_CHARACTERS]),),
    )


def provider_failed(provider: str, code: str, cause: str) -> Reason:
    """The provider could not be reached, or what it answered cannot be used."""
    return Reason(
        code=Code(code),
        message=f"Ringfence could not get an answer from provider {quoted(provider)}: {cause}.",
        facts=(("provider", provider),),
    )


def intent_late(waited_s: float) -> Reason:
    """The ledger takes too long to write what must be written first."""
    return Reason(
        code=Code.STORE_UNAVAILABLE,
        message=f"Ringfence could not write its record within {waited_s:g} seconds, so this call "
        "was not made. Nothing was charged.",
        facts=(("cause", "store_timeout"),),
    )


def result_too_large(agent: Agent, allowed_bytes: int) -> Reason:
    """An answer is longer than the agent may be given."""
    return Reason(
        code=Code.LIMIT_REACHED,
        message=(
            f"Ringfence cut this answer: agent `{agent.name}` may be given {allowed_bytes:,} bytes "
            f"at once. {_advice(agent)}"
        ),
        facts=(
            ("limit", "result_bytes"),
            ("allowed", str(allowed_bytes)),
            ("ask", whom_to_ask(agent)),
        ),
    )


def provider_credential(provider: str, status: int) -> Reason:
    """The provider refuses the plane's own credential; no agent can mend that."""
    return Reason(
        code=Code.PROVIDER_CREDENTIAL,
        message=(
            f"Provider {quoted(provider)} refused Ringfence's own credential (status {status}). "
            "Do not retry; tell whoever runs Ringfence."
        ),
        facts=(("provider", provider), ("status", str(status))),
    )


def credential_held(agent: Agent, provider: str, failures: int) -> Reason:
    """The provider has refused the plane's credential so often that it is not asked any more."""
    return Reason(
        code=Code.PROVIDER_CREDENTIAL,
        message=(
            f"Provider {quoted(provider)} has refused Ringfence's own credential {failures} times, "
            f"so this call was not sent. Stop here: no retry can succeed. Tell "
            f"{whom_to_ask(agent)} that the credential must be replaced."
        ),
        facts=(("provider", provider), ("ask", whom_to_ask(agent))),
    )


def model_forbidden(agent: Agent, provider: str, model: str) -> Reason:
    """The provider has refused (403) an agent's calls to one model again and again."""
    return Reason(
        code=Code.PROVIDER_CREDENTIAL,
        message=(
            f"Provider {quoted(provider)} has refused calls like this one to model {quoted(model)} "
            "again and again, so it was not sent. Stop here: no retry can succeed. Use another "
            f"model, or tell {whom_to_ask(agent)}: Ringfence's credential may not use this one, or "
            "the provider does not take what is asked of it."
        ),
        facts=(("provider", provider), ("model", model), ("ask", whom_to_ask(agent))),
    )


def circuit_open(upstream: str, cause: str, failures: int, wait_s: float) -> Reason:
    """A provider or model failed so often that it is left alone. `upstream` names it in words."""
    return Reason(
        code=Code.CIRCUIT_OPEN,
        message=(
            f"Ringfence did not send this call: {upstream} failed {failures} times in a row "
            f"({cause}) and is left alone for now. Try again in {ceil(wait_s)} seconds, or use "
            "another model."
        ),
        facts=(("upstream", upstream), ("retry_after_s", f"{wait_s:.3f}"), ("cause", cause)),
    )


def paced(agent: Agent, upstream: str, words: str, wait_s: float) -> Reason:
    """A provider or model is as busy as it may be made. `words` say with what, as a clause."""
    return Reason(
        code=Code.RATE_EXCEEDED,
        message=(
            f"Ringfence delayed this call of agent `{agent.name}`: {upstream} {words}. "
            f"Wait {ceil(wait_s)} seconds before trying again."
        ),
        facts=(("upstream", upstream), ("retry_after_s", f"{wait_s:.3f}")),
    )


def loop_hint(period: int, times: int, tools: Iterable[str]) -> str:
    """What a model is told whose calls go in a circle; `period` is 0 if there is no order in it."""
    return (
        f"{_repetition(period, times, tools)} Repeating this will not help. If something is still "
        "running, wait longer before asking again; else try another way, or say what is missing "
        "and stop."
    )


def loop_stopped(agent: Agent, period: int, times: int, tools: Iterable[str]) -> Reason:
    """An invocation that went on in a circle after it was told."""
    names = list(tools)
    return _refusal(
        Code.LOOP_DETECTED,
        agent,
        f"{_repetition(period, times, names)} The run was told so, and is now over.",
        (
            ("loop", "same_calls" if period else "no_progress"),
            ("period", str(period)),
            ("times", str(times)),
            ("tools", ", ".join(names)[:_QUOTED_CHARACTERS]),
        ),
    )


def retries_stopped(agent: Agent, times: int) -> Reason:
    """One request failed again and again, and was sent again and again."""
    return _refusal(
        Code.LOOP_DETECTED,
        agent,
        f"the same request failed {times} times in a row. The run is now over.",
        (("loop", "retries"), ("times", str(times))),
    )


def retried_too_soon(agent: Agent, times: int, wait_s: float) -> Reason:
    """A request that has just failed several times comes again without a pause."""
    words = f"the same request of agent `{agent.name}` has just failed {times} times"
    return rate(agent, words, wait_s)


def too_many_at_once(agent: Agent, allowed: int) -> Reason:
    """One credential has as many calls on their way as the plane carries for it."""
    return _crowded(
        f"agent `{agent.name}` has {allowed:,} calls on their way, which is the most at one time.",
        (("limit", "concurrent_calls"), ("allowed", str(allowed))),
    )


def memory_used(agent: Agent) -> Reason:
    """The bodies of calls on their way take all the memory that the plane gives them."""
    return _crowded(
        f"the bodies of calls on their way leave no room for more of agent `{agent.name}`.",
        (("limit", "buffered_bytes"),),
    )


def credential_shown(provider: str) -> Reason:
    """The provider's answer holds the plane's own credential, so nobody may see it."""
    return Reason(
        code=Code.PROVIDER_MALFORMED,
        message=(
            f"Ringfence withheld an answer of provider {quoted(provider)}: it shows the credential "
            "that Ringfence uses there. Do not retry; tell whoever runs Ringfence."
        ),
        facts=(("provider", provider),),
    )


def price_unknown(agent: Agent, model: str) -> Reason:
    """Neither price data nor configuration give a price; unknown is never zero."""
    return _refusal(
        Code.PRICE_UNKNOWN,
        agent,
        f"no price is known for model {quoted(model)}, and calls without a known price are not "
        "made.",
        (("model", model[:_QUOTED_CHARACTERS]),),
    )


def off_topic(agent: Agent, topic: str) -> Reason:
    """A task outside of an agent's domain; `topic` is empty if no topic fits it."""
    what = f"this is about {quoted(topic)}, which is" if topic else "this task is"
    purpose = f" It is there to: {agent.purpose.rstrip('.')}." if agent.purpose else ""
    return _refusal(
        Code.OFF_TOPIC,
        agent,
        f"{what} not for agent `{agent.name}`.{purpose} It has been handed over to a person.",
        (("topic", topic[:_QUOTED_CHARACTERS]),) if topic else (),
    )


def quoted(text: str) -> str:
    """Foreign text in backticks: one line, printable, and cut."""
    shown = "".join(c if c.isprintable() and c != "`" else "?" for c in text[:_QUOTED_CHARACTERS])
    return f"`{shown}…`" if len(text) > _QUOTED_CHARACTERS else f"`{shown}`"


def _refusal(
    code: Code, agent: Agent, sentence: str, facts: tuple[tuple[str, str], ...] = ()
) -> Reason:
    return Reason(
        code=code,
        message=f"Ringfence stopped this call: {sentence} {_advice(agent)}",
        facts=(*facts, ("ask", whom_to_ask(agent))),
    )


def _repetition(period: int, times: int, tools: Iterable[str]) -> str:
    names = ", ".join(quoted(name) for name in tools)
    if not period:
        return f"the last {times} rounds of tool calls ({names}) brought nothing new."
    if period == 1:
        return f"the same tool calls ({names}) have now given the same results {times} times."
    return (
        f"the same {period} rounds of tool calls ({names}) have now given the same results "
        f"{times} times."
    )


def _crowded(sentence: str, facts: tuple[tuple[str, str], ...]) -> Reason:
    """Too much at one time: it passes by itself."""
    message = f"Ringfence cannot take this call now: {sentence} Try again when others have ended."
    return Reason(code=Code.RATE_EXCEEDED, message=message, facts=facts)


def _advice(agent: Agent) -> str:
    return f"Do not retry; ask {whom_to_ask(agent)}."


def _subject(agent: Agent, line: Line, holder: str) -> str:
    match line.key.scope:
        case BudgetScope.INVOCATION:
            return "this invocation"
        case BudgetScope.TREE:
            return "this invocation with its sub-agents"
        case BudgetScope.AGENT:
            return f"agent `{agent.name}`"
        case scope:
            return f"{scope.value} {quoted(holder)}"


def _usd(amount: Money) -> str:
    return f"{to_usd(amount):f}"


def no_tools_left(agent: Agent, first: str) -> Reason:
    """A provider would refuse every tool of a request; `first` says what of one of them."""
    return _refusal(
        Code.FIELD_REFUSED,
        agent,
        f"{agent.name} declares no tool that the model's provider takes. {first}.",
        (("tool", first.partition(":")[0][:_QUOTED_CHARACTERS]),),
    )


def no_tools_resolved(agent: Agent, servers: Sequence[str], held: int) -> Reason:
    """Nothing is left of what an agent may use of servers that answer; `held` tools are held."""
    named = ", ".join(quoted(each) for each in servers[:_LISTED_NAMES])
    why = f"{held} are held until somebody accepts them (`ringfence tools diff`)"
    return _refusal(
        Code.TOOL_UNAVAILABLE,
        agent,
        f"{agent.name} has no tool of {named} that it may use: "
        + (why if held else "none that is listed matches its scope and policies")
        + ".",
        (("servers", ", ".join(servers)[:_QUOTED_CHARACTERS]), ("held", str(held))),
    )


def declared_tool_held(agent: Agent, tool: str, why: str) -> Reason:
    """A tool in a request is not what was accepted of this agent's client."""
    shown = tool.partition("__")[2][:_QUOTED_CHARACTERS]
    return _refusal(
        Code.TOOL_CHANGED,
        agent,
        f"the tool {shown} of {agent.name} is held: {why}. `ringfence tools diff` shows it, and "
        "`ringfence tools lock --accept` accepts it.",
        (("tool", tool),),
    )
