from hypothesis import given
from hypothesis import strategies as st

from ringfence.protocols.mcp import name

SERVERS = st.from_regex(r"[a-z][a-z0-9-]{0,19}", fullmatch=True)
TOOLS = st.text(st.sampled_from("abcXYZ_-./09"), min_size=1, max_size=128)


@given(SERVERS, TOOLS, st.lists(TOOLS, max_size=5))
def test_a_merged_name_leads_back_to_its_server_and_tool(
    server: str, tool: str, others: list[str]
) -> None:
    merged = name.merged(server, tool)
    assert len(merged) <= name.LONGEST
    assert name.server_of(merged) == server
    assert name.own(merged, [*others, tool]) == tool


def test_two_long_names_stay_two() -> None:
    first, second = (name.merged("crm", "x" * 100 + end) for end in "ab")
    assert first != second
    assert name.merged("crm", "x" * 100 + "a") == first


def test_what_is_not_merged_has_no_server() -> None:
    assert name.server_of("echo") == ""
