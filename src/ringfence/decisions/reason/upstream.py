"""Reasons of providers, and of the plane's own store."""

from math import ceil

from ringfence.decisions.reason.words import quoted, whom_to_ask
from ringfence.domain.agent import Agent
from ringfence.domain.verdict import Code, Reason


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


def secret_shown(provider: str) -> Reason:
    """The provider's answer holds the plane's own credential, so nobody may see it."""
    return Reason(
        code=Code.PROVIDER_MALFORMED,
        message=(
            f"Ringfence withheld an answer of provider {quoted(provider)}: it shows the credential "
            "that Ringfence uses there. Do not retry; tell whoever runs Ringfence."
        ),
        facts=(("provider", provider),),
    )
