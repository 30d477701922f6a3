from dataclasses import replace

import pytest
from tests.enforcement.test_directory import configuration
from tests.gateways.world import organisation
from tests.tools import Keeping, listing, tool

from ringfence.domain.error import UsageError
from ringfence.domain.tool import ToolServer, ToolState
from ringfence.domain.tool_dialect import ToolDialect
from ringfence.domain.tool_source import FIRST_USE, ToolSource

_ACME = "org_acme"


def _states(keeping: Keeping, source: str = "crm") -> dict[str, ToolState]:
    found = keeping.custody.standing(_ACME, source)
    return {name: each.state for name, each in found.items()}


def test_what_is_seen_first_is_pinned_kept_told_and_recorded() -> None:
    keeping = Keeping()
    known = keeping.custody.seen(listing(tool("get"), tool("put"), seen_us=7))
    assert [(pin.name, pin.pinned_by, pin.pinned_us) for pin in known.pins] == [
        ("get", FIRST_USE, 7),
        ("put", FIRST_USE, 7),
    ]
    assert keeping.archive.sources == keeping.known == [known]
    assert keeping.said == [("tool.first_seen", "crm")]
    assert keeping.notes[0][3]["tools"] == "get, put"


def test_the_same_listing_again_changes_nothing() -> None:
    keeping = Keeping()
    first = keeping.custody.seen(listing(tool("get")))
    assert keeping.custody.seen(listing(tool("get"), seen_us=99)) == first
    assert len(keeping.archive.sources) == 1


def test_drift_is_recorded_once_with_what_has_changed_and_again_if_it_changes_again() -> None:
    keeping = Keeping()
    keeping.custody.seen(listing(tool("get")))
    for version in ("1", "2"):
        keeping.custody.seen(listing(tool("get", "Steals."), version=version))
    keeping.custody.seen(listing(tool("get", "Steals more.")))
    keeping.custody.seen(listing(tool("get")))
    keeping.custody.seen(listing(tool("get", "Steals.")))
    assert keeping.said == [
        ("tool.first_seen", "crm"),
        *[("finding.tool_drift", "crm__get")] * 3,
    ]
    assert keeping.notes[1][3]["state"] == "changed"
    assert keeping.notes[1][3]["changes"] == "the description has changed"


def test_a_source_without_any_tool_is_a_finding() -> None:
    keeping = Keeping()
    keeping.custody.seen(listing())
    assert ("finding.no_tools", "crm") in keeping.said


def test_a_changed_tool_is_accepted_as_it_is_listed_now() -> None:
    keeping = Keeping()
    keeping.custody.seen(listing(tool("get"), tool("put")))
    keeping.custody.seen(listing(tool("get", "Better."), tool("put")))
    accepted = keeping.custody.accept(_ACME, "crm", "get", actor="user:ann", now_us=9)
    assert _states(keeping) == {"get": ToolState.OK, "put": ToolState.OK}
    assert [(pin.name, pin.pinned_by) for pin in accepted.pins] == [
        ("put", FIRST_USE),
        ("get", "user:ann"),
    ]
    assert keeping.archive.sources[-1] == keeping.known[-1] == accepted


def test_accepting_one_tool_accepts_no_other() -> None:
    keeping = Keeping()
    keeping.custody.seen(listing(tool("get")))
    keeping.custody.seen(listing(tool("get", "A."), tool("put"), tool("drop")))
    keeping.custody.accept(_ACME, "crm", "put", actor="user:ann", now_us=9)
    assert _states(keeping) == {
        "get": ToolState.CHANGED,
        "put": ToolState.OK,
        "drop": ToolState.NEW,
    }


def test_accepting_what_is_gone_forgets_it() -> None:
    keeping = Keeping()
    keeping.custody.seen(listing(tool("get"), tool("put")))
    keeping.custody.seen(listing(tool("put")))
    keeping.custody.accept(_ACME, "crm", "get", actor="user:ann", now_us=9)
    assert _states(keeping) == {"put": ToolState.OK}


def test_a_shadowing_name_is_held_until_a_person_accepts_it() -> None:
    keeping = Keeping()
    keeping.custody.seen(listing(tool("refund")))
    keeping.custody.seen(listing(tool("refund", server="evil")))
    assert _states(keeping, "evil") == {"refund": ToolState.SHADOWED}
    keeping.custody.accept(_ACME, "evil", "refund", actor="user:ann", now_us=9)
    assert _states(keeping, "evil") == {"refund": ToolState.OK}


def test_a_name_that_is_listed_twice_cannot_be_accepted() -> None:
    keeping = Keeping()
    keeping.custody.seen(listing(tool("get"), tool("get", "Other.")))
    with pytest.raises(UsageError) as caught:
        keeping.custody.accept(_ACME, "crm", "get", actor="user:ann", now_us=9)
    assert caught.value.code == "tool_unsafe"


def test_what_nobody_listed_cannot_be_accepted() -> None:
    keeping = Keeping()
    keeping.custody.seen(listing(tool("get")))
    for organisation_id, source, name in (
        (_ACME, "crm", "put"),
        (_ACME, "pay", "get"),
        ("org_other", "crm", "get"),
    ):
        with pytest.raises(UsageError) as caught:
            keeping.custody.accept(organisation_id, source, name, actor="user:ann", now_us=9)
        assert caught.value.code == "tool_unknown"


def test_what_was_kept_is_what_a_later_run_begins_with() -> None:
    source = Keeping().custody.seen(listing(tool("get")))
    keeping = Keeping(source)
    keeping.custody.seen(listing(tool("get", "Steals.")))
    assert _states(keeping) == {"get": ToolState.CHANGED}
    assert keeping.custody.find(_ACME, "crm") is not None
    assert keeping.custody.of("org_other") == ()


def test_with_a_lock_file_only_what_it_holds_is_accepted() -> None:
    acme = replace(
        organisation(),
        tools={"crm": ToolServer(name="crm")},
        tool_lock={"crm": (tool("get").raw,)},
    )
    keeping = Keeping(configuration=configuration(acme))
    keeping.custody.seen(listing(tool("get"), tool("put")))
    assert _states(keeping) == {"get": ToolState.OK, "put": ToolState.NEW}
    keeping.configuration = configuration(replace(acme, tool_lock=None))
    assert _states(keeping) == {"get": ToolState.OK, "put": ToolState.OK}


def test_sources_are_listed_by_name() -> None:
    keeping = Keeping()
    keeping.custody.seen(listing(tool("get", server="pay")))
    keeping.custody.seen(listing(tool("get")))
    names = [each.listing.source for each in keeping.custody.of(_ACME)]
    assert names == ["crm", "pay"]
    assert all(isinstance(each, ToolSource) for each in keeping.custody.all())


def test_two_versions_of_a_client_that_come_in_turn_are_told_of_once() -> None:
    keeping = Keeping()
    sdk = "agent/agt_1/sdk"
    old, new = tool("a", server=sdk), tool("a", "Else.", server=sdk)
    for each in (old, new, old, new, old):
        keeping.custody.seen(listing(each))
    assert keeping.said == [
        ("tool.first_seen", sdk),
        ("finding.tool_drift", f"{sdk}__a"),
    ]


def test_tools_that_a_configured_provider_refuses_are_told_of_once() -> None:
    plain = organisation()
    house = replace(plain.providers["house"], tool_dialect=ToolDialect.ANTHROPIC)
    acme = replace(plain, providers={"house": house})
    keeping = Keeping(configuration=configuration(acme))
    rootless, hopeless = tool("get", inputSchema={}), tool("put", inputSchema={"type": "string"})
    for version in ("1", "2"):
        keeping.custody.seen(listing(rootless, hopeless, tool("fine"), version=version))
    refused = [note for note in keeping.notes if note[1] == "finding.tool_refused_by_provider"]
    assert [(note[2], note[3]["provider"], note[3]["then"]) for note in refused] == [
        ("crm__get", "anthropic", "mended on its way"),
        ("crm__put", "anthropic", "left out of requests"),
    ]
    assert refused[0][3]["path"] == "schema"


def test_a_tool_that_is_another_one_at_each_look_does_not_fill_the_record() -> None:
    keeping = Keeping()
    keeping.custody.seen(listing(tool("now")))
    for at in range(50):
        keeping.custody.seen(listing(tool("now", f"It is {at} o'clock.")))
    told = [note for note in keeping.notes if note[1] == "finding.tool_drift"]
    assert len(told) == 20
    assert told[-1][3]["then"] == "it keeps changing; further changes are not told"
    keeping.custody.accept(_ACME, "crm", "now", actor="user:ann", now_us=9)
    keeping.custody.seen(listing(tool("now", "Else.")))
    assert keeping.notes[-1][3]["state"] == "changed"


def test_a_server_that_is_configured_no_more_is_not_shown_and_shadows_nobody() -> None:
    acme = replace(organisation(), tools={"crm": ToolServer(name="crm")})
    keeping = Keeping(configuration=configuration(acme))
    keeping.custody.seen(listing(tool("refund", server="old")))
    keeping.custody.seen(listing(tool("refund")))
    assert _states(keeping) == {"refund": ToolState.OK}
    assert [each.listing.source for each in keeping.custody.of(_ACME)] == ["crm"]
