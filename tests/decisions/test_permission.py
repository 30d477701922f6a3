from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.permission import HOSTED, UNNAMED, tier_of
from ringfence.domain.tool import PermissionTier, ToolServer

CRM = ToolServer(
    name="crm",
    tiers=(
        ("get_*", PermissionTier.READ),
        ("*_note", PermissionTier.WRITE),
        ("delete_*", PermissionTier.IRREVERSIBLE),
        ("refund", PermissionTier.IRREVERSIBLE),
    ),
)


def test_tiers_are_ordered_by_harm() -> None:
    tiers = list(PermissionTier)
    assert tiers == sorted(tiers)
    assert [each.name for each in tiers] == ["READ", "WRITE", "CONSEQUENTIAL", "IRREVERSIBLE"]


def test_a_tool_has_the_tier_of_its_list() -> None:
    assert tier_of(CRM, "get_ticket") is PermissionTier.READ
    assert tier_of(CRM, "add_note") is PermissionTier.WRITE
    assert tier_of(CRM, "refund") is PermissionTier.IRREVERSIBLE


def test_of_several_lists_the_most_harmful_holds() -> None:
    assert tier_of(CRM, "get_note") is PermissionTier.WRITE
    assert tier_of(CRM, "delete_note") is PermissionTier.IRREVERSIBLE


def test_what_nobody_has_named_is_not_taken_for_harmless() -> None:
    assert tier_of(CRM, "refund_all") is tier_of(CRM, "Get_ticket") is UNNAMED
    assert min(UNNAMED, HOSTED) > PermissionTier.WRITE


@given(st.text(max_size=20))
def test_a_further_list_never_makes_a_tool_more_harmless(tool: str) -> None:
    more = ToolServer(name="crm", tiers=(*CRM.tiers, ("*", PermissionTier.CONSEQUENTIAL)))
    assert tier_of(more, tool) >= min(tier_of(CRM, tool), PermissionTier.CONSEQUENTIAL)


def test_a_tool_made_of_another_has_its_tier_unless_a_list_names_it() -> None:
    assert tier_of(CRM, "give_back", "refund") is PermissionTier.IRREVERSIBLE
    assert tier_of(CRM, "get_back", "refund") is PermissionTier.READ
    assert tier_of(CRM, "give_back", "nothing") is UNNAMED
