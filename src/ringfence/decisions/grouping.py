"""Grouping: which invocation a call belongs to, from what the caller proves, says and repeats.

Clues correlate only under one organisation, agent and credential. In order: the invocation token,
the `Ringfence-Invocation` header, the trace id, the client's own run id, the conversation, time.
"""

from typing import final

import msgspec

from ringfence.decisions import reason
from ringfence.decisions.clue import Clues, External, chain_of, external_of
from ringfence.decisions.run_memory import Caller, Group, Owner, advance, remove, trim
from ringfence.domain.agent import Agent, InvocationRule
from ringfence.domain.invocation import Grouping
from ringfence.domain.verdict import Deny, Stop, Throttle

WINDOW_US = 60_000_000
"""How close in time two calls of one credential must be to belong together for no other reason."""

_WITHOUT_ID = (Grouping.CONVERSATION, Grouping.TIME)
_NEVER = ("", 0)
_ID_CHARACTERS = 200
_OUR_IDS = "inv_"


class Join(msgspec.Struct, frozen=True):
    """The call belongs to this open invocation."""

    invocation: str
    grouping: Grouping


class Open(msgspec.Struct, frozen=True):
    """The call opens a root invocation: make an id and tell `Groups.open`."""

    grouping: Grouping
    external_id: str | None = None


@final
class Groups:
    """The open invocations of all agents and what they are known by; memory is bounded.

    `window_us` as the constant of this module. Times must not go back.
    """

    def __init__(self, *, window_us: int = WINDOW_US) -> None:
        """Start with nothing open."""
        self._window_us = window_us
        self._owners: dict[tuple[str, str], Owner] = {}
        self._groups: dict[str, Group] = {}
        self._expired: list[str] = []

    def __len__(self) -> int:
        """How many invocations are open."""
        return len(self._groups)

    def find(
        self, organisation: str, agent: Agent, clues: Clues, now_us: int
    ) -> Join | Open | Deny | Stop | Throttle:
        """Where a call belongs. A join counts as a call of its invocation at `now_us`."""
        owner = self._owner(organisation, agent)
        self._expire(owner, now_us)
        if clues.invocation:
            return self._by_token(owner, agent, clues, now_us)
        if agent.invocations is InvocationRule.DECLARED:
            return Deny(reason=reason.invocation_required(agent))
        caller = owner.caller(clues.credential)
        external = external_of(clues)
        if external is not None:
            found = self._by_external(owner, caller, agent, external, now_us)
        elif clues.messages or clues.chain:
            found = self._by_conversation(caller, agent, chain_of(clues), now_us)
        else:
            found = self._by_time(caller, clues, now_us)
        if isinstance(found, Open):
            return self.room(organisation, agent, now_us) or found
        return found

    def known(self, organisation: str, agent: Agent, clues: Clues, now_us: int) -> Join | None:
        """The open invocation that a call surely belongs to, as far as it is known here.

        For one of several processes, each of which knows some of the runs: it opens and refuses
        nothing, and None asks who knows them all. A join counts as a call.
        """
        if clues.invocation:
            return Join(clues.invocation, Grouping.TOKEN)
        if agent.invocations is InvocationRule.DECLARED:
            return None
        caller = self._owner(organisation, agent).caller(clues.credential)
        external = external_of(clues)
        if external is not None:
            grouping, name = external
            group = caller.externals.get(external)
            if group is None and grouping is Grouping.HEADER:
                ours = self._groups.get(name)
                group = ours if ours is not None and ours.caller is caller else None
            return None if group is None else self._join(group, grouping, now_us)
        if clues.messages or clues.chain:
            for tip in reversed(chain_of(clues)):
                group = caller.tips.get(tip)
                if group is not None:
                    return self._join(group, Grouping.CONVERSATION, now_us)
            return None
        found = self._by_time(caller, clues, now_us)
        return found if isinstance(found, Join) else None

    def holds(self, invocation: str, agent: Agent, now_us: int) -> bool:
        """Whether that is an open root of this agent which is not idle; if so, it is called now.

        What `find` says of its token, for most calls and with no more than they need.
        """
        group = self._groups.get(invocation)
        if group is None or group.owner.agent is not agent:
            return False
        if group.last_us <= now_us - group.owner.idle_us:
            return False
        self._touch(group, now_us)
        return True

    def advance(self, invocation: str, tip: int) -> bool:
        """Let a conversation be continued from here; whether that is new."""
        group = self._groups.get(invocation)
        if group is None or group.caller.tips.get(tip) is group:
            return False
        advance(group, tip)
        return True

    def tips(self, invocation: str) -> tuple[int, ...]:
        """From where its conversations may be continued, the latest last."""
        group = self._groups.get(invocation)
        return () if group is None else tuple(group.tips)

    def drop(self, invocation: str) -> None:
        """Forget an open invocation as one that was left idle: what it was known by is free."""
        group = self._groups.get(invocation)
        if group is not None:
            self._forget(group)

    def room(self, organisation: str, agent: Agent, now_us: int) -> Throttle | None:
        """Whether one more root may be open; the one idle longest gives way if it is quiet.

        Invocations that were opened by a request of their own never give way.
        """
        owner = self._owner(organisation, agent)
        allowed = agent.limits.open_invocations
        if len(owner.groups) < allowed:
            return None
        undeclared = (g for g in owner.groups.values() if g.grouping is not Grouping.TOKEN)
        oldest = next(undeclared, None)
        quiet_us = self._window_us if oldest is None else oldest.last_us + self._window_us - now_us
        if oldest is not None and quiet_us <= 0:
            self._drop(oldest)
            return None
        words = f"agent `{agent.name}` may have {allowed} open invocations"
        wait_s = quiet_us / 1_000_000
        return Throttle(reason=reason.rate(agent, words, wait_s), retry_after_s=wait_s)

    def open(  # noqa: PLR0913 (an invocation is opened by these facts)
        self,
        organisation: str,
        agent: Agent,
        clues: Clues,
        opened: Open,
        *,
        invocation: str,
        now_us: int,
    ) -> None:
        """Take note of a new root invocation, declared ones (`Grouping.TOKEN`) too."""
        owner = self._owner(organisation, agent)
        caller = owner.caller(clues.credential)
        group = Group(invocation, opened.grouping, owner, caller)
        self._groups[invocation] = owner.groups[invocation] = caller.groups[invocation] = group
        if opened.external_id is not None:
            external = (opened.grouping, opened.external_id)
            group.externals.append(external)
            caller.externals[external] = group
        elif opened.grouping is Grouping.CONVERSATION:
            chain = chain_of(clues)
            if chain:
                advance(group, chain[-1])
        self._touch(group, now_us)

    def touch(self, invocation: str, now_us: int) -> None:
        """A call of this invocation is still running or has just ended."""
        group = self._groups.get(invocation)
        if group is not None:
            self._touch(group, now_us)

    def close(self, invocation: str, now_us: int) -> None:
        """Finished or stopped by somebody: whatever continues it is told so.

        Its ids stay closed; its conversation only as long as an idle one stays open, so that a job
        which asks the same every day is not refused for ever.
        """
        group = self._groups.get(invocation)
        if group is None:
            return
        caller = group.caller
        caller.closed.update(dict.fromkeys(group.externals, invocation))
        caller.closed_tips.update(dict.fromkeys(group.tips, (invocation, now_us)))
        trim(caller.closed)
        trim(caller.closed_tips)
        self._forget(group)

    def know_closed(
        self, organisation: str, agent: Agent, credential: str, opened: Open, *, invocation: str
    ) -> None:
        """Take note of an invocation that was closed before a restart: its ids stay closed."""
        owner = self._owner(organisation, agent)
        owner.closed[invocation] = credential
        trim(owner.closed)
        if opened.external_id is not None:
            caller = owner.caller(credential)
            caller.closed[opened.grouping, opened.external_id] = invocation
            trim(caller.closed)

    def expire(self, now_us: int) -> tuple[str, ...]:
        """The invocations that were left idle, or gave way, since the last time this was asked."""
        for owner in self._owners.values():
            self._expire(owner, now_us)
        expired, self._expired = tuple(self._expired), []
        return expired

    def _by_token(self, owner: Owner, agent: Agent, clues: Clues, now_us: int) -> Join | Stop:
        """The credential is proof; whether a child is still open is known to its keeper."""
        if clues.invocation in owner.closed:
            return Stop(reason=reason.invocation_closed(agent, clues.invocation))
        self.touch(clues.invocation, now_us)
        return Join(clues.invocation, Grouping.TOKEN)

    def _by_external(
        self, owner: Owner, caller: Caller, agent: Agent, external: External, now_us: int
    ) -> Join | Open | Deny | Stop:
        grouping, name = external
        if len(name) > _ID_CHARACTERS:
            return Deny(reason=reason.invocation_unknown(agent, name))
        if grouping is Grouping.HEADER and name.startswith(_OUR_IDS):
            return self._by_our_id(owner, caller, agent, name, now_us)
        group = caller.externals.get(external)
        if group is not None:
            return self._join(group, grouping, now_us)
        closed = caller.closed.get(external)
        if closed is not None:
            return Stop(reason=reason.invocation_closed(agent, closed))
        return Open(grouping, name)

    def _by_our_id(
        self, owner: Owner, caller: Caller, agent: Agent, name: str, now_us: int
    ) -> Join | Deny | Stop:
        """An id that we gave out: another agent's or credential's is as unknown as any."""
        group = self._groups.get(name)
        if group is not None and group.caller is caller:
            return self._join(group, Grouping.HEADER, now_us)
        if owner.closed.get(name) == caller.credential:
            return Stop(reason=reason.invocation_closed(agent, name))
        return Deny(reason=reason.invocation_unknown(agent, name))

    def _by_conversation(
        self, caller: Caller, agent: Agent, chain: tuple[int, ...], now_us: int
    ) -> Join | Open | Stop:
        """The longest beginning of this conversation that an earlier call ended with."""
        for tip in reversed(chain):
            group = caller.tips.get(tip)
            if group is not None:
                advance(group, chain[-1])
                return self._join(group, Grouping.CONVERSATION, now_us)
            closed, closed_us = caller.closed_tips.get(tip, _NEVER)
            if closed and closed_us > now_us - agent.limits.idle_seconds * 1_000_000:
                return Stop(reason=reason.invocation_closed(agent, closed))
        recent = self._recent(caller, now_us)
        if len(recent) == 1 and recent[0].grouping is Grouping.TIME and not recent[0].tips:
            advance(recent[0], chain[-1])
            return self._join(recent[0], Grouping.TIME, now_us)
        return Open(Grouping.CONVERSATION)

    def _by_time(self, caller: Caller, clues: Clues, now_us: int) -> Join | Open:
        """A call without messages: the only recent invocation, else the one for such calls.

        A tool call can belong to a run that its client names to the model alone (Claude Code): to
        the only recent one, if nothing nearer is there.
        """
        recent = self._recent(caller, now_us)
        if not recent and clues.is_tool:
            recent = self._recent(caller, now_us, (Grouping.CLIENT,))
        if len(recent) == 1:
            return self._join(recent[0], Grouping.TIME, now_us)
        for group in recent:
            if group.grouping is Grouping.TIME:
                return self._join(group, Grouping.TIME, now_us)
        return Open(Grouping.TIME)

    def _recent(
        self, caller: Caller, now_us: int, by: tuple[Grouping, ...] = _WITHOUT_ID
    ) -> list[Group]:
        """What this credential used within the window, grouped in one of these ways."""
        recent = []
        for group in reversed(caller.groups.values()):
            if group.last_us < now_us - self._window_us:
                break
            if group.grouping in by:
                recent.append(group)
        return recent

    def _join(self, group: Group, grouping: Grouping, now_us: int) -> Join:
        self._touch(group, now_us)
        return Join(group.invocation, grouping)

    def _touch(self, group: Group, now_us: int) -> None:
        group.last_us = now_us
        group.owner.groups.move_to_end(group.invocation)
        group.caller.groups.move_to_end(group.invocation)

    def _expire(self, owner: Owner, now_us: int) -> None:
        while owner.groups:
            oldest = next(iter(owner.groups.values()))
            if oldest.last_us > now_us - owner.idle_us:
                break
            self._drop(oldest)

    def _drop(self, group: Group) -> None:
        self._expired.append(group.invocation)
        self._forget(group)

    def _forget(self, group: Group) -> None:
        """Only the id stays known, as closed."""
        owner, caller = group.owner, group.caller
        del self._groups[group.invocation], owner.groups[group.invocation]
        del caller.groups[group.invocation]
        for external in group.externals:
            remove(caller.externals, external, group)
        for tip in group.tips:
            remove(caller.tips, tip, group)
        owner.closed[group.invocation] = caller.credential
        trim(owner.closed)

    def _owner(self, organisation: str, agent: Agent) -> Owner:
        key = (organisation, agent.id)
        owner = self._owners.get(key)
        if owner is None:
            owner = self._owners[key] = Owner(agent)
        elif owner.agent is not agent:
            owner.define(agent)
        return owner
