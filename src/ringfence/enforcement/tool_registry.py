"""The tools of every server as one worker knows them: what is pinned, and what is held."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import msgspec

from ringfence.analysis.tool_drift import Standing, judge, trusted
from ringfence.analysis.tool_pin import pin_of
from ringfence.analysis.tool_text import skeleton
from ringfence.analysis.tool_view import inward, outward
from ringfence.analysis.tool_view import view as viewed
from ringfence.decisions.failure_rule import labels_of
from ringfence.decisions.permission import UNNAMED, tier_of
from ringfence.domain.error import PeerError, UsageError
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.policy import ToolFacts
from ringfence.domain.tool import (
    PermissionTier,
    ToolDefinition,
    ToolKey,
    ToolServer,
    ToolState,
)
from ringfence.domain.tool_source import FIRST_USE, ToolListing, ToolPin, ToolSource
from ringfence.domain.tool_view import ToolView
from ringfence.enforcement.directory import Directory
from ringfence.protocols.tool_definition import read_definition
from ringfence.transport.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A tool with everything that governs it.

    `definition` is the one in force, as its server gave it: what was pinned, or what is listed
    where nothing is. `seen` is the same as clients see it, through `view`. `why` says why it is not
    `OK`, for people.
    """

    key: ToolKey
    """How scopes, policies and the record name it."""
    definition: ToolDefinition
    seen: ToolDefinition
    pin: str
    state: ToolState
    why: str
    tier: PermissionTier
    labels: frozenset[str] = frozenset()
    view: ToolView | None = None

    @property
    def is_hidden(self) -> bool:
        """Whether it is listed for nobody, and cannot be called."""
        return self.view is not None and self.view.is_hidden

    @property
    def shown_name(self) -> str:
        """What clients of its server see it called."""
        return self.key.name if self.view is None else self.view.shown

    @property
    def input_schema(self) -> bytes:
        """What clients are told of its arguments: theirs are judged by this one."""
        return self.seen.input_schema

    @property
    def facts(self) -> ToolFacts:
        """What policies may know of it: they judge what its server gets."""
        return ToolFacts(input_schema=self.definition.input_schema, labels=self.labels)

    @property
    def dispatched(self) -> str:
        """The name by which its server is called."""
        return self.definition.key.name

    def shown(self) -> bytes:
        """The JSON object that goes to clients, with every field that the server gave."""
        return self.seen.raw

    def inward(self, arguments: bytes) -> bytes:
        """What the server gets for what a client sent, which `input_schema` allows.

        Raises PeerError `arguments_invalid` for what no client was shown.
        """
        return arguments if self.view is None else inward(self.view, arguments)

    def outward(self, text: str) -> str:
        """What the model is told for an error text of the server."""
        return text if self.view is None else outward(self.view, text)


SERVER_KEPT: Final = 2000
"""How many tools of one server are known; what it lists beyond them does not exist."""
DECLARED_KEPT: Final = 500
"""How many tools of one client are known; a client that makes up names has no more."""
_Place = tuple[str, str]
"""Organisation and server."""


@final
class ToolRegistry:
    """Finds what governs a tool; used by one event loop.

    The first listing of a server is trusted and pinned; from then on only what somebody accepts.
    """

    def __init__(self, directory: Directory, clock: Clock) -> None:
        """Nothing is known yet."""
        self._directory = directory
        self._clock = clock
        self.on_seen: Callable[[ToolListing], object] | None = None
        """Told when a source lists other tools than before; never waits."""
        self._sources: dict[_Place, ToolSource] = {}
        self._standing: dict[_Place, Mapping[str, Registered]] = {}

    def observe(
        self,
        organisation: str,
        server: str,
        listing: Sequence[ToolDefinition],
        version: str,
        era: str,
    ) -> None:
        """Take the whole of what a server lists now; drift is judged before this returns."""
        place = (organisation, server)
        raw = tuple(each.raw for each in listing[:SERVER_KEPT])
        before = self._sources.get(place)
        if before is not None and is_same(before.listing, raw, version):
            return
        seen = ToolListing(
            organisation=organisation,
            source=server,
            raw=raw,
            version=version,
            era=era,
            seen_us=self._clock.now_us(),
        )
        self.take(known_after(before, seen, self._elsewhere(place)))
        if self.on_seen is not None:
            self.on_seen(seen)

    def find(self, organisation: str, key: ToolKey) -> Registered | None:
        """A tool by the server's own name for it; None if nobody has ever listed it."""
        return self._of(organisation, key.server).get(key.name)

    def named(self, organisation: str, server: str, shown: str) -> Registered | None:
        """A tool by the name that clients of its server see; None if it is hidden."""
        found = self._of(organisation, server)
        plain = found.get(shown)
        if plain is not None and plain.view is None:
            return plain
        return next(
            (each for each in found.values() if each.shown_name == shown and not each.is_hidden),
            None,
        )

    def listed(self, organisation: str, server: str) -> Sequence[Registered]:
        """Every tool of a server, in its own order, also those that are held."""
        return tuple(self._of(organisation, server).values())

    def standing(self, organisation: str, server: str) -> Mapping[str, Registered]:
        """The same by name: one object as long as nothing about any of them changes."""
        return self._of(organisation, server)

    def source(self, organisation: str, server: str) -> ToolSource | None:
        """What is known of a server; None if it was never listed."""
        return self._sources.get((organisation, server))

    def pins(self, organisation: str, server: str) -> Mapping[str, str]:
        """What is accepted of a source, as pins by name."""
        source = self._sources.get((organisation, server))
        return {pin.name: pin.pin for pin in source.pins} if source is not None else {}

    def take(self, source: ToolSource) -> None:
        """Know a source as it stands: what is pinned, and what it lists."""
        place = (source.listing.organisation, source.listing.source)
        self._sources[place] = source
        self._standing.clear()  # a name pinned here shadows those of other servers

    def reloaded(self) -> None:
        """Tiers, views or pins may be others now."""
        self._standing.clear()

    def _of(self, organisation: str, server: str) -> Mapping[str, Registered]:
        place = (organisation, server)
        known = self._standing.get(place)
        if known is None:
            known = self._standing[place] = self._judged(place)
        return known

    def _judged(self, place: _Place) -> Mapping[str, Registered]:
        source = self._sources.get(place)
        if source is None:
            return {}
        organisation, server = place
        home = home_of(self._directory.configuration, organisation)
        listing = readable(server, source.listing.raw)
        standing = judge(listing, pinned(home, source), self._elsewhere(place))
        return _seen(home, standing)

    def _elsewhere(self, place: _Place) -> Mapping[str, str]:
        home = home_of(self._directory.configuration, place[0])
        return elsewhere(self._sources.values(), home, *place)


def is_declared(source: str) -> bool:
    """Whether a source is what a client declares in model requests, and no server."""
    return "/" in source


def is_same(listing: ToolListing, raw: tuple[bytes, ...], version: str) -> bool:
    """Whether a listing says nothing new.

    A server of both eras lists the same in either. A client declares now these tools and now those,
    so that what is declared is new only if one of its tools is.
    """
    if is_declared(listing.source):
        return set(raw) <= set(listing.raw)
    return (listing.raw, listing.version) == (raw, version)


def known_after(
    before: ToolSource | None, seen: ToolListing, others: Mapping[str, str]
) -> ToolSource:
    """What is known of a source once it has listed something; `others` is `elsewhere`.

    What a server lists first is pinned. Of what clients declare, each tool is pinned when it is
    declared first, and what is not declared now has not gone.
    """
    definitions = readable(seen.source, seen.raw)
    pins = before.pins if before is not None else ()
    if is_declared(seen.source):
        names = {pin.name for pin in pins}
        fresh = [each for each in trusted(definitions, {}) if each.key.name not in names]
        pins = (*pins, *(pin_at(seen, each) for each in fresh))[:DECLARED_KEPT]
        known = {}
        if before is not None:
            known = {each.key.name: each.raw for each in readable(seen.source, before.listing.raw)}
        known |= {each.key.name: each.raw for each in definitions}
        raw = tuple(known.values())[-DECLARED_KEPT:]
        return ToolSource(listing=msgspec.structs.replace(seen, raw=raw), pins=pins)
    if before is None:
        pins = tuple(pin_at(seen, each) for each in trusted(definitions, others))
    return ToolSource(listing=seen, pins=pins)


def pin_at(seen: ToolListing, each: ToolDefinition) -> ToolPin:
    """Trust a tool because its source was never seen before."""
    return ToolPin(
        name=each.key.name,
        pin=pin_of(each),
        raw=each.raw,
        pinned_us=seen.seen_us,
        pinned_by=FIRST_USE,
    )


def elsewhere(
    sources: Iterable[ToolSource], home: Organisation | None, organisation: str, source: str
) -> dict[str, str]:
    """What other servers of an organisation have pinned, by what the name looks like.

    One that the configuration names no more takes no name from anybody.
    """
    return {
        skeleton(pin.name): f"{each.listing.source}__{pin.name}"
        for each in sources
        if each.listing.organisation == organisation and each.listing.source != source
        if not is_declared(each.listing.source) and not is_declared(source)
        if home is None or each.listing.source in home.tools
        for pin in each.pins
    }


def pinned(home: Organisation | None, source: ToolSource) -> dict[str, ToolDefinition]:
    """What is accepted of a source, by name: what the lock file says, if there is one."""
    server = source.listing.source
    raws = [pin.raw for pin in source.pins]
    if home is not None and home.tool_lock is not None and server in home.tools:
        raws = list(home.tool_lock.get(server, ()))
    return {each.key.name: each for each in readable(server, raws)}


def home_of(configuration: Configuration | None, organisation: str) -> Organisation | None:
    """An organisation as a configuration has it, by its id."""
    every = configuration.organisations.values() if configuration is not None else ()
    return next((each for each in every if each.id == organisation), None)


def _seen(home: Organisation | None, standing: Mapping[str, Standing]) -> dict[str, Registered]:
    """Every tool of a server as clients see it, by the name in scopes and policies.

    A view of a tool that is not there is nothing; one that does not fit quarantines its tool.
    """
    server_name = next((each.definition.key.server for each in standing.values()), "")
    server = home.tools.get(server_name) if home is not None else None
    views = server.views if server is not None else ()
    plain = {each.tool: each for each in views if not each.of}
    found = {name: _registered(server, each, plain.get(name)) for name, each in standing.items()}
    for each in views:
        if each.of in standing and each.tool not in found:
            found[each.tool] = _registered(server, standing[each.of], each)
    return {name: _apart(each, found) for name, each in found.items()}


def _apart(each: Registered, found: Mapping[str, Registered]) -> Registered:
    """Quarantine a view that shows its tool by a name which another tool of the server has."""
    other = found.get(each.shown_name)
    if each.view is None or each.is_hidden or other is None or other is each or other.view:
        return each
    why = f"its view shows it as `{each.shown_name}`, which is another tool of its server"
    return replace(each, state=ToolState.QUARANTINED, why=why)


def _registered(server: ToolServer | None, each: Standing, view: ToolView | None) -> Registered:
    own = each.definition
    key = own.key if view is None else ToolKey(server=own.key.server, name=view.tool)
    state, why, seen = each.state, each.why, own
    if view is not None:
        try:
            seen = viewed(own, view)
        except UsageError as error:
            state, why = ToolState.QUARANTINED, error.message
    return Registered(
        key=key,
        definition=own,
        seen=seen,
        pin=each.pin,
        state=state,
        why=why,
        tier=UNNAMED if server is None else tier_of(server, key.name, own.key.name),
        labels=frozenset() if server is None else labels_of(server.rules, own.key.name),
        view=view,
    )


def readable(server: str, raws: Sequence[bytes]) -> list[ToolDefinition]:
    """Definitions; what an earlier release could read and this one cannot is left out."""
    found = []
    for raw in raws:
        try:
            found.append(read_definition(server, raw))
        except PeerError:
            continue
    return found
