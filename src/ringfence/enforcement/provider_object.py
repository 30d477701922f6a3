"""Objects that providers hold for agents: whose they are, and how much input they bring."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from ringfence.domain.exchange import Answer
from ringfence.enforcement.runtime import AgentRuntime

KEPT_PER_OWNER: Final = 10_000
"""How many objects are known for each owner; an older one is refused like a stranger's."""
OWNERS_PER_ORGANISATION: Final = 10_000
"""How many owners are known: users come and go. The one silent longest is forgotten."""

_Objects = OrderedDict[str, int]
_NONE: Final[Mapping[str, int]] = MappingProxyType({})


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One object, whose it is, and the input tokens that it brings; plain data."""

    organisation: str
    owner: str
    name: str
    tokens: int


class ProviderObjects:
    """The responses that agents made, by owner: the agent, or its `provider_storage` group.

    In memory, restored at start from the newest outcomes of the ledger; an older object is unknown
    then, as are items of an answer: the agent sends the input itself.
    """

    def __init__(self) -> None:
        """Nobody owns anything yet."""
        self.on_note: Callable[[Kept], None] | None = None
        """Told of each object that this worker sees made."""
        self._owned: dict[str, OrderedDict[str, _Objects]] = {}

    def owned(self, runtime: AgentRuntime) -> Mapping[str, int]:
        """Ids that an agent may name, and the input tokens that each brings at most."""
        owners = self._owned.get(runtime.organisation.id)
        return _NONE if owners is None else owners.get(_owner(runtime), _NONE)

    def note(self, runtime: AgentRuntime, answer: Answer) -> None:
        """Take note of an answer that the provider keeps.

        What it brings into a later call is what went in and what came out; without the provider's
        own count there is no bound, and it stays unknown.
        """
        usage = answer.usage
        if usage is None or usage.estimated:
            return
        tokens = usage.input_tokens + usage.output_tokens
        for name in (answer.provider_object, *answer.provider_items):
            if name:
                kept = _kept(runtime, name, tokens)
                self.keep(kept)
                if self.on_note is not None:
                    self.on_note(kept)

    def restore(self, runtime: AgentRuntime, name: str, tokens: int) -> None:
        """Take note of one object and the input tokens that it brings."""
        self.keep(_kept(runtime, name, tokens))

    def keep(self, kept: Kept) -> None:
        """The same, of what another worker saw."""
        owners = self._owned.setdefault(kept.organisation, OrderedDict())
        mine = owners.setdefault(kept.owner, OrderedDict())
        owners.move_to_end(kept.owner)
        if len(owners) > OWNERS_PER_ORGANISATION:
            owners.popitem(last=False)
        mine[kept.name] = kept.tokens
        mine.move_to_end(kept.name)
        while len(mine) > KEPT_PER_OWNER:
            mine.popitem(last=False)


def _kept(runtime: AgentRuntime, name: str, tokens: int) -> Kept:
    organisation = runtime.organisation.id
    return Kept(organisation=organisation, owner=_owner(runtime), name=name, tokens=tokens)


def _owner(runtime: AgentRuntime) -> str:
    group, principal = runtime.agent.provider_storage, runtime.principal
    owner = f"group {group}" if group else runtime.id
    # What was said on behalf of one user is not there for another.
    return owner if principal is None else f"{owner} {principal.id}"
