"""Recorded calls as questions to policies: what was asked, by whom, and what came of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final
from urllib.parse import urlsplit

import msgspec

from ringfence.api.context import ControlContext
from ringfence.decisions.permission import tier_of_request
from ringfence.decisions.policy.entity import tier_in
from ringfence.decisions.policy.replay import Recorded
from ringfence.domain.action import ActionKind
from ringfence.domain.caller import CallerTier
from ringfence.domain.error import PeerError
from ringfence.domain.event import Hold, Intent, Refusal
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import PolicyVerdict, Question
from ringfence.domain.verdict import Code
from ringfence.enforcement.http_call import TUNNEL
from ringfence.enforcement.shell_call import CHOSEN_BY
from ringfence.protocols.request_path import read_path
from ringfence.stores.body import BodyReader, Part
from ringfence.stores.ledger.query import Filter

AnyCall = Intent | Refusal | Hold

_ENCODER = msgspec.json.Encoder()


@final
@dataclass(slots=True)
class RecordedCalls:
    """Reads them from the record, oldest first; `unread` counts those without their arguments."""

    context: ControlContext
    organisation_id: str
    organisation: Organisation
    since_us: int
    users: Mapping[str, str]
    names: Mapping[str, str]
    unread: int = 0

    def recorded(self) -> Iterator[Recorded]:
        """Every call that policies had a say in; blocks."""
        asked = Filter(
            organisation=self.organisation_id, since_us=self.since_us, is_newest_first=False
        )
        ledger, bodies = self.context.open_ledger(), self.context.open_bodies()
        try:
            for stored in ledger.query(asked):
                event = stored.event
                if isinstance(event, Intent | Refusal | Hold):
                    found = self._recorded(event, bodies)
                    if found is not None:
                        yield found
        finally:
            ledger.close()
            bodies.close()

    def _recorded(self, event: AnyCall, bodies: BodyReader) -> Recorded | None:
        was = _verdict(event)
        agent = self.organisation.agents.get(event.agent_name)
        if was is None or agent is None:
            return None
        kind = ActionKind(event.action_kind)
        resource, tier = event.resource, tier_in(self.organisation, kind, event.resource)
        arguments = _arguments(event, kind, bodies)
        if kind is ActionKind.HTTP_REQUEST:
            resource = event.resource.rpartition(":")[0].strip("[]")
            tier = tier_of_request(event.operation, is_tunnel=event.operation == TUNNEL)
        if arguments is None:
            self.unread += 1
            return None
        chain = tuple(self.names.get(each, each) for each in event.chain)
        is_for_user = bool(event.chain) and event.chain[0] in self.users
        question = Question(
            organisation=event.organisation,
            agent=agent.name,
            team=agent.team,
            category=agent.category,
            caller_tier=CallerTier(event.tier),
            chain=chain,
            user=chain[0] if is_for_user else None,
            action=kind,
            resource=resource,
            tier=tier,
            arguments=arguments,
            seen=frozenset(),
            now_us=int(event.time_us),
        )
        return Recorded(action=event.action, question=question, was=was)


def calls_since(
    context: ControlContext, organisation_id: str, organisation: Organisation, since_us: int
) -> RecordedCalls:
    """The calls of an organisation since a time; `organisation` says what is defined now."""
    users = context.state.users.names(organisation_id)
    agents = {record.id: record.name for record in context.state.agents.list(organisation_id)}
    return RecordedCalls(
        context=context,
        organisation_id=organisation_id,
        organisation=organisation,
        since_us=since_us,
        users=users,
        names={**users, **agents},
    )


def _verdict(event: AnyCall) -> PolicyVerdict | None:
    """What policies said; None if it was something else that decided, or is told elsewhere."""
    match event:
        case Hold():
            return PolicyVerdict.ASK
        case Intent():
            # What a person approved is its hold; what the operator started was no policy's.
            is_told = event.approval or CHOSEN_BY in event.decision.facts
            return None if is_told else PolicyVerdict.ALLOW
        case Refusal():
            is_first = not event.repeats
            is_ours = event.decision.code == Code.POLICY_DENIED
            return PolicyVerdict.DENY if is_first and is_ours else None


def _arguments(event: AnyCall, kind: ActionKind, bodies: BodyReader) -> bytes | None:
    """What policies could read of a call; None if it is not stored any more.

    Of a model call the record does not say which tools the provider would have run.
    """
    if kind is ActionKind.MODEL_CALL:
        intent = event if isinstance(event, Intent) else None
        return _ENCODER.encode(
            {
                "operation": event.operation,
                "stream": intent is not None and intent.stream,
                "tools": [] if intent is None else sorted(set(intent.tools)),
                "hosted_tools": [],
            }
        )
    if kind is ActionKind.HTTP_REQUEST:
        return _of_request(event)
    return bodies.get(event.organisation, event.action, Part.REQUEST)


def _of_request(event: AnyCall) -> bytes | None:
    """What policies could read of a request through egress, from its target; None if it was cut."""
    try:
        parts = urlsplit(event.target)
        path = read_path(parts.path.encode("latin-1"))
        port = int(event.resource.rpartition(":")[2])
    except (PeerError, ValueError):
        return None
    stated = {"method": event.operation, "scheme": parts.scheme, "port": port, "path": path.text}
    return _ENCODER.encode(stated)
