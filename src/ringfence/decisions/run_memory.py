"""What is remembered of open and closed runs: by agent, by credential, by what they are known."""

from collections import OrderedDict
from typing import Final, TypeVar, final

from ringfence.decisions.clue import External
from ringfence.domain.agent import Agent
from ringfence.domain.invocation import Grouping

_TIPS_KEPT: Final = 8
"""Conversations of one invocation that may go on side by side."""

_CLOSED_KEPT: Final = 4_096
"""Closed invocations, and what they were known by, that an agent is still told of."""
_CALLERS_KEPT: Final = 10_000
"""Of one agent: each credential, with each user for whom it acts."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@final
class Group:
    """One open run, and what it is known by."""

    __slots__ = ("caller", "externals", "grouping", "invocation", "last_us", "owner", "tips")

    def __init__(
        self, invocation: str, grouping: Grouping, owner: "Owner", caller: "Caller"
    ) -> None:
        """It is known by nothing yet."""
        self.invocation = invocation
        self.grouping = grouping
        self.owner = owner
        self.caller = caller
        self.externals: list[External] = []
        self.tips: list[int] = []
        self.last_us = 0


@final
class Caller:
    """One credential. `groups` are in the order of their last call, the latest last."""

    __slots__ = ("closed", "closed_tips", "credential", "externals", "groups", "tips")

    def __init__(self, credential: str) -> None:
        """It has nothing open yet."""
        self.credential = credential
        self.groups: OrderedDict[str, Group] = OrderedDict()
        self.externals: dict[External, Group] = {}
        self.tips: dict[int, Group] = {}
        self.closed: dict[External, str] = {}
        self.closed_tips: dict[int, tuple[str, int]] = {}
        """Invocation, and when it was closed."""


@final
class Owner:
    """One agent. `groups` are in the order of their last call, the latest last."""

    __slots__ = ("agent", "callers", "closed", "groups", "idle_us")

    def __init__(self, agent: Agent) -> None:
        """It has nothing open yet."""
        self.define(agent)
        self.groups: OrderedDict[str, Group] = OrderedDict()
        self.callers: dict[str, Caller] = {}
        self.closed: dict[str, str] = {}
        """Invocation and its credential."""

    def define(self, agent: Agent) -> None:
        """Take the agent as a new epoch states it."""
        self.agent = agent
        self.idle_us = agent.limits.idle_seconds * 1_000_000

    def caller(self, credential: str) -> Caller:
        """What is remembered of one of its credentials."""
        caller = self.callers.get(credential)
        if caller is None:
            caller = self.callers[credential] = Caller(credential)
            if len(self.callers) > _CALLERS_KEPT:
                _drop_quiet(self, caller)
        return caller


def _drop_quiet(owner: Owner, newest: Caller) -> None:
    """Let go of the one known longest that has nothing open; what it closed may begin anew."""
    callers = owner.callers.values()
    gone = next((each for each in callers if not each.groups and each is not newest), None)
    if gone is not None:
        del owner.callers[gone.credential]


def advance(group: Group, tip: int) -> None:
    """Let a conversation be continued from here; earlier points stay, up to a number."""
    tips = group.caller.tips
    if tips.get(tip) is group:
        return
    tips[tip] = group
    group.tips.append(tip)
    if len(group.tips) > _TIPS_KEPT:
        remove(tips, group.tips.pop(0), group)


def remove(known: dict[_Key, Group], key: _Key, group: Group) -> None:
    """Only if it still leads to this group: a later one may have taken its place."""
    if known.get(key) is group:
        del known[key]


def trim(closed: dict[_Key, _Value]) -> None:
    """Let go of what was closed first, beyond what is kept."""
    while len(closed) > _CLOSED_KEPT:
        del closed[next(iter(closed))]
