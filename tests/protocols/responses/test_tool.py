import json

import pytest

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Feature
from ringfence.protocols.field import Findings
from ringfence.protocols.responses.tool import TYPES, Runner, read_tools


def _read(*tools: object) -> Findings:
    return read_tools(json.dumps(tools).encode())


# Who runs a tool of each type: its name for the client, or None for the provider.
EXAMPLES: dict[str, tuple[dict[str, object], list[str]]] = {
    "function": ({"name": "f", "parameters": {}}, ["f"]),
    "custom": ({"name": "c"}, ["c"]),
    "namespace": ({"name": "crm", "tools": [{"type": "function", "name": "f"}]}, ["crm.f"]),
    "local_shell": ({}, ["local_shell"]),
    "apply_patch": ({}, ["apply_patch"]),
    "computer": ({}, ["computer"]),
    "computer_use_preview": ({"display_width": 1}, ["computer_use_preview"]),
    "shell": ({"environment": {"type": "local"}}, ["shell"]),
    "tool_search": ({"execution": "client"}, ["tool_search"]),
    "programmatic_tool_calling": ({}, []),
    "web_search": ({}, []),
    "web_search_preview": ({}, []),
    "file_search": ({"vector_store_ids": []}, []),
    "code_interpreter": ({"container": {"type": "auto"}}, []),
    "image_generation": ({}, []),
    "mcp": ({"server_label": "x"}, []),
}


def test_every_type_has_an_example_here() -> None:
    assert TYPES.keys() == EXAMPLES.keys()


@pytest.mark.parametrize("kind", TYPES)
def test_each_type_is_run_by_whom_the_table_says(kind: str) -> None:
    fields, names = EXAMPLES[kind]
    found = _read({"type": kind, **fields})
    assert found.tools == names
    assert [feature.name for feature in found.hosted] == ([] if names else [kind])
    assert bool(names) == (TYPES[kind][0] is not Runner.PROVIDER)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "shell"},
        {"type": "shell", "environment": {"type": "container_auto"}},
        {"type": "tool_search"},
        {"type": "tool_search", "execution": "server"},
        {"type": "web_search_2026_08_26"},
        {"type": "anything"},
    ],
)
def test_what_does_not_say_that_the_client_runs_it_is_the_providers(
    tool: dict[str, object],
) -> None:
    found = _read(tool)
    assert found.tools == []
    assert [feature.name for feature in found.hosted] == [tool["type"]]


def test_a_namespace_cannot_hide_a_hosted_tool() -> None:
    tools = [{"type": "mcp", "server_url": "https://x.example"}]
    found = _read({"type": "namespace", "name": "n", "tools": tools})
    assert found.hosted == [Feature("mcp", "https://x.example")]


@pytest.mark.parametrize(
    ("tool", "objects"),
    [
        ({"type": "file_search", "vector_store_ids": ["vs_1", "vs_2"]}, ["vs_1", "vs_2"]),
        ({"type": "code_interpreter", "container": "cntr_1"}, ["cntr_1"]),
        ({"type": "code_interpreter", "container": {"file_ids": ["file-1"]}}, ["file-1"]),
        (
            {
                "type": "shell",
                "environment": {"type": "container_reference", "container_id": "cntr_2"},
            },
            ["cntr_2"],
        ),
        ({"type": "image_generation", "input_image_mask": {"file_id": "file-2"}}, ["file-2"]),
        ({"type": "mcp", "headers": {"file_id": "x"}}, []),
    ],
)
def test_what_a_hosted_tool_names_at_the_provider_is_noted(
    tool: dict[str, object], objects: list[str]
) -> None:
    assert _read(tool).objects == objects


@pytest.mark.parametrize(
    "tool",
    [
        1,
        {},
        {"type": 1},
        {"type": "function"},
        {"type": "namespace", "name": "n"},
        {"type": "namespace", "tools": []},
        {"type": "namespace", "name": "n", "tools": [{"type": "namespace", "name": "m"}]},
    ],
)
def test_a_tool_that_cannot_be_named_is_refused(tool: object) -> None:
    with pytest.raises(PeerError):
        _read(tool)
