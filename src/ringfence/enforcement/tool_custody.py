"""The one place that keeps what is accepted of tools; where the supervisor runs, or the plane.

Workers tell what servers list, and are told what is pinned. What a source lists first is trusted;
whatever comes later must be accepted by a person.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, final

import msgspec

from ringfence.analysis.tool_dialect.check import objections
from ringfence.analysis.tool_dialect.repair import repaired
from ringfence.analysis.tool_difference import differences
from ringfence.analysis.tool_drift import Standing, judge
from ringfence.analysis.tool_pin import pin_of
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Configuration
from ringfence.domain.policy import ToolFacts
from ringfence.domain.tool import ToolDefinition, ToolState
from ringfence.domain.tool_dialect import ToolDialect
from ringfence.domain.tool_source import ToolListing, ToolPin, ToolSource
from ringfence.enforcement.tool_registry import (
    elsewhere,
    home_of,
    is_declared,
    is_same,
    known_after,
    pinned,
    readable,
)

FIRST_SEEN: Final = "tool.first_seen"
ACCEPTED: Final = "tool.accepted"
DRIFT: Final = "finding.tool_drift"
NO_TOOLS: Final = "finding.no_tools"
REFUSED: Final = "finding.tool_refused_by_provider"
_SHOWN: Final = 5
_TOLD_MOST: Final = 20
"""Of one tool, between two starts."""
_Place = tuple[str, str]


class Archive(Protocol):
    """Where sources are kept for the next start."""

    def keep(self, source: ToolSource) -> None:
        """Write a source as it is now, in the order of these calls; never waits."""


Configured = Callable[[], Configuration | None]
Note = Callable[[str, str, str, Mapping[str, str]], None]
"""Puts on the record: organisation, what, subject, detail."""


@final
class ToolCustody:
    """Keeps every source of tools of an installation; used by one event loop."""

    def __init__(
        self,
        *,
        configuration: Configured,
        sources: Iterable[ToolSource],
        archive: Archive,
        note: Note,
    ) -> None:
        """`configuration` gives the one in force; `sources` is what was kept of earlier runs.

        `note` writes events of the plane's own.
        """
        self._configuration = configuration
        self._archive = archive
        self._note = note
        self._sources: dict[_Place, ToolSource] = {
            (each.listing.organisation, each.listing.source): each for each in sources
        }
        self._noted: dict[tuple[_Place, str], str] = {}
        self._told: dict[tuple[_Place, str], int] = {}
        self.on_known: Callable[[ToolSource], None] | None = None
        """Told whenever a source is known otherwise than before; spreads it to workers."""

    def all(self) -> tuple[ToolSource, ...]:
        """Every source: what a worker that starts must know."""
        return tuple(self._sources.values())

    def of(self, organisation: str) -> tuple[ToolSource, ...]:
        """The sources of one organisation, by name; not servers that are configured no more."""
        home = home_of(self._configuration(), organisation)
        found = [
            each
            for place, each in self._sources.items()
            if place[0] == organisation
            and (home is None or is_declared(place[1]) or place[1] in home.tools)
        ]
        return tuple(sorted(found, key=lambda each: each.listing.source))

    def find(self, organisation: str, source: str) -> ToolSource | None:
        """One source; None if it was never seen."""
        return self._sources.get((organisation, source))

    def facts(self, organisation: str) -> dict[str, ToolFacts]:
        """What policies may know of every tool in force, by its name in scopes and policies."""
        return {
            f"{source.listing.source}__{name}": ToolFacts(input_schema=each.definition.input_schema)
            for source in self.of(organisation)
            for name, each in self.standing(organisation, source.listing.source).items()
        }

    def standing(self, organisation: str, source: str) -> Mapping[str, Standing]:
        """How each tool of a source stands; empty if it was never seen."""
        known = self.find(organisation, source)
        if known is None:
            return {}
        home = home_of(self._configuration(), organisation)
        return judge(
            readable(source, known.listing.raw),
            pinned(home, known),
            elsewhere(self._sources.values(), home, organisation, source),
        )

    def seen(self, listing: ToolListing) -> ToolSource:
        """Take what a worker was told by a source; gives the truth about it."""
        place = (listing.organisation, listing.source)
        before = self._sources.get(place)
        if before is not None and is_same(before.listing, listing.raw, listing.version):
            return before
        home = home_of(self._configuration(), listing.organisation)
        others = elsewhere(self._sources.values(), home, *place)
        known = known_after(before, listing, others)
        self._put(known)
        self._note_listing(known, is_first=before is None)
        return known

    def accept(
        self, organisation: str, source: str, tool: str, *, actor: str, now_us: int
    ) -> ToolSource:
        """Trust a tool as its source lists it now; one that is gone is forgotten.

        Raises UsageError `tool_unknown` or `tool_unsafe`.
        """
        known = self.find(organisation, source)
        standing = self.standing(organisation, source).get(tool)
        if known is None or standing is None:
            raise UsageError(
                "tool_unknown",
                f"no tool `{tool}` of `{source}` has been seen",
                help="`ringfence tools list` shows them",
            )
        kept = [pin for pin in known.pins if pin.name != tool]
        if standing.listed is not None:
            if _is_twice(known, source, tool):
                raise UsageError(
                    "tool_unsafe",
                    f"`{source}` lists two tools named `{tool}`: nobody can say which is called",
                    help="have the server give each a name of its own",
                )
            kept.append(
                ToolPin(
                    name=tool,
                    pin=pin_of(standing.listed),
                    raw=standing.listed.raw,
                    pinned_us=now_us,
                    pinned_by=actor,
                )
            )
        self._told.pop(((organisation, source), tool), None)
        accepted = msgspec.structs.replace(known, pins=tuple(kept))
        self._put(accepted)
        return accepted

    def _put(self, source: ToolSource) -> None:
        listing = source.listing
        self._sources[listing.organisation, listing.source] = source
        self._archive.keep(source)
        if self.on_known is not None:
            self.on_known(source)

    def _note_listing(self, known: ToolSource, *, is_first: bool) -> None:
        listing = known.listing
        place = (listing.organisation, listing.source)
        if is_first:
            names = [pin.name for pin in known.pins]
            self._note(
                listing.organisation,
                FIRST_SEEN,
                listing.source,
                {
                    "tools": ", ".join(names)[:2000],
                    "count": str(len(names)),
                    "version": listing.version,
                },
            )
        if not listing.raw:
            self._note(listing.organisation, NO_TOOLS, listing.source, {"version": listing.version})
        standing = self.standing(*place)
        if not is_declared(listing.source):
            self._note_refused(place, standing)
        for name, each in standing.items():
            mark = "" if each.state is ToolState.OK else f"{each.state} {_mark(each)}"
            if is_declared(listing.source) and not mark:
                continue  # two versions of a client come in turn: each is told of once
            if self._noted.get((place, name), "") != mark:
                self._noted[place, name] = mark
                if mark:
                    self._note_drift(place, name, _detail(each, listing))

    def _note_drift(self, place: _Place, name: str, detail: dict[str, str]) -> None:
        """Tell of a change, but not for ever of a tool that is another one at each look."""
        told = self._told[place, name] = self._told.get((place, name), 0) + 1
        if told > _TOLD_MOST:
            return
        if told == _TOLD_MOST:
            detail["then"] = "it keeps changing; further changes are not told"
        self._note(place[0], DRIFT, f"{place[1]}__{name}", detail)

    def _note_refused(self, place: _Place, standing: Mapping[str, Standing]) -> None:
        """Tell of each tool that a provider of the configuration would refuse, once."""
        home = home_of(self._configuration(), place[0])
        providers = home.providers.values() if home is not None else ()
        for dialect in sorted({each.tool_dialect for each in providers if each.tool_dialect}):
            for name, each in standing.items():
                key, pin = (place, f"{name} {dialect}"), _mark(each)
                if each.listed is None or self._noted.get(key) == pin:
                    continue
                self._noted[key] = pin
                detail = _refused_detail(dialect, each.listed)
                if detail is not None:
                    self._note(place[0], REFUSED, f"{place[1]}__{name}", detail)


def _refused_detail(dialect: ToolDialect, tool: ToolDefinition) -> dict[str, str] | None:
    """What one provider has against a tool, and whether it is mended on its way there."""
    name, schema = tool.key.name, msgspec.json.decode(tool.input_schema)
    found = objections(dialect, name, schema)
    if not found:
        return None
    is_mended = repaired(dialect, name, schema) is not None
    return {
        "provider": dialect.value,
        "path": found[0].place,
        "what": found[0].what,
        "then": "mended on its way" if is_mended else "left out of requests",
        "fix": found[0].help,
    }


def _mark(each: Standing) -> str:
    return "" if each.listed is None else pin_of(each.listed)


def _detail(each: Standing, listing: ToolListing) -> dict[str, str]:
    detail = {"state": each.state.value, "why": each.why, "version": listing.version}
    if each.state is ToolState.CHANGED and each.listed is not None:
        found = differences(each.definition, each.listed)
        detail["changes"] = "; ".join(one.what for one in found[:_SHOWN])
    return detail


def _is_twice(known: ToolSource, source: str, tool: str) -> bool:
    listed: Sequence[ToolDefinition] = readable(source, known.listing.raw)
    return sum(each.key.name == tool for each in listed) > 1
