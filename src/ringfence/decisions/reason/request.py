"""Reasons of what a model is asked for: out of scope, or without a bound on its price."""

from collections.abc import Iterable

from ringfence.decisions.reason.words import LISTED_NAMES, QUOTED_CHARACTERS, quoted, refusal
from ringfence.domain.agent import Agent
from ringfence.domain.verdict import Code, Reason


def out_of_scope(agent: Agent, kind: str, name: str, usable: Iterable[str] = ()) -> Reason:
    """The same text for what does not exist and for what is not this agent's."""
    names = sorted(usable)[:LISTED_NAMES]
    offer = f" It may use: {', '.join(names)}." if names else ""
    return refusal(
        Code.OUT_OF_SCOPE,
        agent,
        f"agent `{agent.name}` has no {kind} {quoted(name)}.{offer}",
        ((kind, name[:QUOTED_CHARACTERS]),),
    )


def wrong_protocol(agent: Agent, name: str, protocol: str) -> Reason:
    """The model is the agent's, but its provider speaks another protocol than this path."""
    return refusal(
        Code.OUT_OF_SCOPE,
        agent,
        f"model {quoted(name)} is not served on this path; its provider speaks the {protocol} "
        "protocol.",
        (("model", name[:QUOTED_CHARACTERS]), ("protocol", protocol)),
    )


def hosted_tool(agent: Agent, name: str) -> Reason:
    """A tool that the provider would run is not among the model's `hosted_tools`."""
    return refusal(
        Code.HOSTED_TOOL,
        agent,
        f"the tool {quoted(name)} would be run by the provider, which is not allowed for this "
        "model. Leave it out of the request.",
        (("tool", name[:QUOTED_CHARACTERS]),),
    )


def priced_field(agent: Agent, name: str) -> Reason:
    """A field changes the price and is not among the model's `allow_priced_fields`."""
    return refusal(
        Code.FIELD_REFUSED,
        agent,
        f"the field {quoted(name)} changes the price of the call, which is not allowed for this "
        "model. Leave it out of the request.",
        (("field", name[:QUOTED_CHARACTERS]),),
    )


def too_many_uses(agent: Agent, asked: int, allowed: int) -> Reason:
    """The client lets the provider run its tools more often than is reserved for."""
    return refusal(
        Code.FIELD_REFUSED,
        agent,
        f"the request lets the provider use its tools {asked} times, and {allowed} are allowed for "
        "this model. Ask for fewer (`max_uses`, `max_tool_calls`).",
        (("allowed", str(allowed)),),
    )


def too_many_answers(agent: Agent, answers: int, allowed: int) -> Reason:
    """More answers at once than any provider gives."""
    return refusal(
        Code.FIELD_REFUSED,
        agent,
        f"the request asks for {answers:,} answers; at most {allowed} are possible.",
        (("answers", str(answers)), ("allowed", str(allowed))),
    )


def outside_input(agent: Agent, name: str) -> Reason:
    """A field brings input that is not in the body, so that its price has no bound."""
    return refusal(
        Code.INPUT_UNBOUNDED,
        agent,
        f"the field {quoted(name)} brings in input that is not in the request, so the price of "
        "the call has no bound. Send the input itself.",
        (("field", name[:QUOTED_CHARACTERS]),),
    )


def unbounded_media(agent: Agent, kind: str, setting: str) -> Reason:
    """Images or other media, and no bound configured for this model."""
    return refusal(
        Code.INPUT_UNBOUNDED,
        agent,
        f"the request contains {kind}, and `{setting}` is not set for this model, so the price "
        "of the call has no bound. Leave them out of the request.",
        (("setting", setting),),
    )


def provider_object(agent: Agent, name: str) -> Reason:
    """The same text for an object that does not exist and for another agent's."""
    return refusal(
        Code.PROVIDER_OBJECT,
        agent,
        f"agent `{agent.name}` has no stored object {quoted(name)} at the provider.",
        (("object", name[:QUOTED_CHARACTERS]),),
    )
