from tests.enforcement.workshop import definition

from ringfence.domain.tool import PermissionTier, ToolKey, ToolState
from ringfence.enforcement.tool_registry import Registered
from ringfence.gateways.tool.written import MOST_BYTES, WrittenLists
from ringfence.protocols.mcp.version import Era


def tools(name: str = "get_job") -> tuple[Registered, ...]:
    seen = definition(name)
    return (
        Registered(
            key=ToolKey(server="crm", name=name),
            definition=seen,
            seen=seen,
            pin="",
            state=ToolState.OK,
            why="",
            tier=PermissionTier.READ,
        ),
    )


class Writing:
    """Counts how often something is written."""

    def __init__(self, whole: bytes) -> None:
        self.times = 0
        self._whole = whole

    def __call__(self) -> bytes:
        self.times += 1
        return self._whole


def test_a_list_is_written_once_while_its_tools_and_its_page_are_the_same() -> None:
    lists, one, writing = WrittenLists(), tools(), Writing(b'{"tools":[]}')
    for first in (b"page", b"page", b"other", b""):
        assert lists.of((one,), first, Era.MODERN, writing).whole == b'{"tools":[]}'
    assert writing.times == 3
    lists.of((one,), b"", Era.LEGACY, writing)
    lists.of((tools(),), b"", Era.MODERN, writing)
    lists.of((one, tools("add_job")), b"", Era.MODERN, writing)
    assert writing.times == 6


def test_a_list_says_for_how_long_it_still_holds() -> None:
    whole = b'{"tools":["ttlMs"],"ttlMs":60000,"x":1}'
    written = WrittenLists().of((tools(),), b"page", Era.MODERN, Writing(whole))
    assert written.holding(7) == b'{"tools":["ttlMs"],"ttlMs":7,"x":1}'
    plain = WrittenLists().of((tools(),), b"page", Era.LEGACY, Writing(b"{}"))
    assert plain.holding(7) == b"{}"


def test_what_is_kept_is_bounded_whatever_its_tools_are() -> None:
    lists, big = WrittenLists(), b'{"a":"%b"}' % (b"x" * (MOST_BYTES // 4))
    kept = [tools(f"t{number}") for number in range(8)]
    writing = Writing(big)
    for each in (*kept, kept[-1]):
        lists.of((each,), b"", Era.MODERN, writing)
    assert writing.times == 8  # the newest is kept
    lists.of((kept[0],), b"", Era.MODERN, writing)
    assert writing.times == 9  # the oldest is not
    huge = Writing(b'{"a":"%b"}' % (b"x" * MOST_BYTES))
    for _ in range(2):
        lists.of((tools(),), b"", Era.MODERN, huge)
    assert huge.times == 2
