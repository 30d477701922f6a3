import json

import pytest

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Feature
from ringfence.protocols.chat.tool import read_functions, read_tools


def _raw(*tools: object) -> bytes:
    return json.dumps(tools).encode()


def test_functions_and_custom_tools_are_the_clients() -> None:
    found = read_tools(
        _raw(
            {"type": "function", "function": {"name": "a", "parameters": {"type": "object"}}},
            {"function": {"name": "b"}},
            {"type": "custom", "custom": {"name": "c"}},
        )
    )
    assert found.tools == ["a", "b", "c"]
    assert found.hosted == []


@pytest.mark.parametrize("kind", ["mcp", "web_search", "browser_search", "code_interpreter"])
def test_any_other_type_is_run_by_the_provider(kind: str) -> None:
    found = read_tools(_raw({"type": kind}))
    assert found.hosted == [Feature(kind)]
    assert found.tools == []


def test_a_tool_without_a_type_is_named_by_what_it_has() -> None:
    assert read_tools(_raw({"google_search": {}})).hosted == [Feature("google_search")]


@pytest.mark.parametrize(
    "tools",
    [[1], [{"type": "function"}], [{"type": "function", "function": {}}], [{"type": 1}]],
)
def test_a_tool_that_cannot_be_named_is_refused(tools: list[object]) -> None:
    with pytest.raises(PeerError):
        read_tools(_raw(*tools))


def test_older_functions_are_named() -> None:
    assert read_functions(b'[{"name":"a"},{"description":"","name":"b"}]') == ["a", "b"]
    with pytest.raises(PeerError, match="`functions`"):
        read_functions(b"[{}]")


def test_what_stands_beside_a_function_is_a_tool_of_the_provider() -> None:
    function = {"type": "function", "function": {"name": "a"}, "cache_control": {}, "custom": None}
    assert read_tools(_raw(function)).hosted == []
    assert read_tools(_raw({**function, "google_search": {}})).hosted == [Feature("google_search")]
