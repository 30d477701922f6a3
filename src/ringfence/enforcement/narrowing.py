"""What makes an invocation narrower than the credential it was opened with."""

import msgspec

from ringfence.decisions.rights import Patterns
from ringfence.domain.caller import CallerTier
from ringfence.domain.money import Money
from ringfence.domain.user import Principal
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.stores.ledger import InvocationRecord


class Narrowing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an invocation is narrower than what it was made from; None narrows nothing.

    `tools`, `hosts` and `commands` are patterns. `user` is the id of whom it acts for and `proof`
    that of the user token that says so: written down, so that both are known after a restart.
    """

    models: tuple[str, ...] | None = None
    budget_nano: int | None = None
    seconds: int | None = None
    tools: Patterns | None = None
    hosts: Patterns | None = None
    commands: Patterns | None = None
    user: str = ""
    proof: str = ""


def narrowing_of(record: InvocationRecord) -> Narrowing:
    """What an invocation was opened with."""
    if not record.narrowing:
        return Narrowing()
    return msgspec.json.decode(record.narrowing, type=Narrowing)


def written(narrowing: Narrowing | None, live: LiveInvocation) -> str:
    """The JSON text that the record keeps; empty if nothing is narrower."""
    principal = live.runtime.principal
    if principal is not None:
        plain = narrowing or Narrowing()
        narrowing = msgspec.structs.replace(plain, user=principal.id, proof=live.proof)
    return "" if narrowing is None else msgspec.json.encode(narrowing).decode()


def models_of(narrowing: Narrowing, parent: LiveInvocation | None) -> frozenset[str] | None:
    """Never more than the parent may use."""
    outer = parent.models if parent is not None else None
    if narrowing.models is None:
        return outer
    own = frozenset(narrowing.models)
    return own if outer is None else own & outer


def tools_of(narrowing: Narrowing, parent: LiveInvocation | None) -> tuple[Patterns, ...]:
    """Lists of patterns: of each one must match, so that each can only take away."""
    outer = parent.tools if parent is not None else ()
    return outer if narrowing.tools is None else (*outer, narrowing.tools)


def hosts_of(narrowing: Narrowing, parent: LiveInvocation | None) -> tuple[Patterns, ...]:
    """The same for hosts."""
    outer = parent.hosts if parent is not None else ()
    return outer if narrowing.hosts is None else (*outer, narrowing.hosts)


def commands_of(narrowing: Narrowing, parent: LiveInvocation | None) -> tuple[Patterns, ...]:
    """The same for commands."""
    outer = parent.commands if parent is not None else ()
    return outer if narrowing.commands is None else (*outer, narrowing.commands)


def budget_of(narrowing: Narrowing) -> Money | None:
    """The money for it and everything below it, beside all other budgets."""
    return None if narrowing.budget_nano is None else Money(narrowing.budget_nano)


def group_of(credential: str, principal: Principal | None) -> str:
    """Whose calls may be one run: those of one credential on behalf of one user."""
    return credential if principal is None else f"{credential} {principal.id}"


def principal_of(narrowing: Narrowing) -> Principal | None:
    """On whose behalf a restored invocation acts; the record knows the id alone."""
    return Principal(id=narrowing.user, name="") if narrowing.user else None


def restored_runtime(
    runtime: AgentRuntime,
    parent: LiveInvocation | None,
    tier: CallerTier,
    principal: Principal | None,
) -> AgentRuntime:
    """The agent as a restored invocation's callers use it; a child as its parent's sub-agent."""
    if parent is not None:
        return parent.runtime.as_sub_agent()
    return runtime.used_by((tier,), principal)
