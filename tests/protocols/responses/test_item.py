import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.protocols.responses import ResponsesCodec
from ringfence.protocols.responses.item import ITEMS

CODEC = ResponsesCodec()


def _parse(*items: object) -> ModelRequest:
    return CODEC.parse(json.dumps({"model": "m", "input": items}).encode())


def _part(part: dict[str, object]) -> ModelRequest:
    return _parse({"role": "user", "content": [part]}, {"role": "user", "content": "x"})


def _noted(request: ModelRequest) -> dict[str, object]:
    found = {
        "hosted": [feature.name for feature in request.hosted_tools],
        "priced": [feature.name for feature in request.priced_fields],
        "outside": [feature.name for feature in request.outside_inputs],
        "objects": list(request.provider_objects),
        "tools": list(request.tools),
        "images": request.images,
        "media": request.media,
    }
    return {name: value for name, value in found.items() if value}


# For each type an item, and what must be noted of it.
EXAMPLES: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "message": ({"role": "user", "content": "x"}, {}),
    "function_call": ({"name": "f", "arguments": "{}", "call_id": "c"}, {}),
    "function_call_output": ({"call_id": "c", "output": "x"}, {}),
    "custom_tool_call": ({"name": "f", "input": "x", "call_id": "c"}, {}),
    "custom_tool_call_output": ({"call_id": "c", "output": "x"}, {}),
    "local_shell_call": ({"action": {"type": "exec", "command": ["ls"]}}, {}),
    "local_shell_call_output": ({"id": "c", "output": "x"}, {}),
    "shell_call": (
        {"environment": {"type": "container_reference", "container_id": "cntr_1"}},
        {"outside": ["container_id"], "objects": ["cntr_1"]},
    ),
    "shell_call_output": ({"output": [{"stdout": "x", "outcome": {"type": "exit"}}]}, {}),
    "apply_patch_call": ({"operation": {"type": "delete_file", "path": "x"}}, {}),
    "apply_patch_call_output": ({"status": "completed", "output": "x"}, {}),
    "computer_call": ({"action": {"type": "click"}}, {}),
    "configuration_update": ({"reasoning": {"effort": "low"}}, {}),
    "compaction": ({"encrypted_content": "gA"}, {}),
    "web_search_call": ({"action": {"query": "x"}}, {}),
    "file_search_call": ({"queries": ["x"]}, {}),
    "mcp_list_tools": ({"server_label": "s", "tools": [{"name": "t"}]}, {}),
    "mcp_approval_request": ({"name": "t"}, {}),
    "mcp_call": ({"name": "t", "output": "x"}, {}),
    "tool_search_call": ({"arguments": {}}, {}),
    "program": ({"code": "x"}, {}),
    "program_output": ({"result": "x"}, {}),
    "reasoning": (
        {"id": "rs_1", "summary": []},
        {"outside": ["reasoning"], "objects": ["rs_1"]},
    ),
    "additional_tools": (
        {"role": "developer", "tools": [{"type": "mcp"}, {"type": "function", "name": "f"}]},
        {"hosted": ["mcp"], "tools": ["f"]},
    ),
    "tool_search_output": ({"tools": [{"type": "mcp"}]}, {"hosted": ["mcp"]}),
    "computer_call_output": (
        {"output": {"type": "computer_screenshot", "file_id": "file-1"}},
        {"images": 1, "outside": ["file_id"], "objects": ["file-1"]},
    ),
    "image_generation_call": (
        {"id": "ig_1", "result": None},
        {"images": 1, "outside": ["image_generation_call"], "objects": ["ig_1"]},
    ),
    "code_interpreter_call": (
        {"container_id": "cntr_1", "code": "x"},
        {"outside": ["container_id"], "objects": ["cntr_1"]},
    ),
    "item_reference": ({"id": "msg_1"}, {"outside": ["item_reference"], "objects": ["msg_1"]}),
    "mcp_approval_response": ({"approve": True}, {"hosted": ["mcp_approval_response"]}),
    "compaction_trigger": ({}, {"priced": ["compaction_trigger"]}),
}


def test_every_type_has_an_example_here() -> None:
    assert ITEMS.keys() == EXAMPLES.keys()


@pytest.mark.parametrize("kind", ITEMS)
def test_each_item_is_noted_for_what_it_brings(kind: str) -> None:
    fields, noted = EXAMPLES[kind]
    assert _noted(_parse({"type": kind, **fields})) == noted
    assert _noted(_parse({**fields, "type": kind}, {"role": "user", "content": ""})) == noted


def test_reasoning_that_is_in_the_body_brings_nothing_else() -> None:
    for fields in ({"encrypted_content": "gA"}, {"content": [{"type": "reasoning_text"}]}):
        assert _noted(_parse({"type": "reasoning", "id": "rs_1", "summary": [], **fields})) == {}
    empty = _parse({"type": "reasoning", "id": "rs_1", "encrypted_content": ""})
    assert _noted(empty) == {"outside": ["reasoning"], "objects": ["rs_1"]}


def test_an_item_with_nothing_but_an_id_is_a_reference() -> None:
    expected = {"outside": ["item_reference"], "objects": ["msg_1"]}
    assert _noted(_parse({"id": "msg_1"})) == expected
    assert _noted(_parse({"type": None, "id": "msg_1"})) == expected


def test_an_image_that_was_made_before_and_is_in_the_body_is_an_image() -> None:
    item = {"type": "image_generation_call", "id": "ig_1", "result": "AAAA"}
    assert _noted(_parse(item)) == {"images": 1}


def test_an_item_of_an_unknown_type_is_outside_input() -> None:
    assert _parse({"type": "dream"}).outside_inputs == (Feature("dream"),)


@pytest.mark.parametrize(
    ("part", "noted"),
    [
        ({"type": "input_text", "text": "input_image"}, {}),
        ({"type": "output_text", "text": "x", "annotations": [], "logprobs": []}, {}),
        ({"type": "input_image", "image_url": "https://x.example/a.png"}, {"images": 1}),
        ({"type": "input_image", "image_url": "data:image/png;base64,AA"}, {"images": 1}),
        (
            {"type": "input_image", "file_id": "file-1"},
            {"images": 1, "outside": ["file_id"], "objects": ["file-1"]},
        ),
        ({"type": "input_file", "file_data": "AAAA", "filename": "a.pdf"}, {"media": 1}),
        ({"type": "input_file", "file_url": "https://x.example/a.pdf"}, {"outside": ["file_url"]}),
        (
            {"type": "input_file", "file_id": "file-1"},
            {"outside": ["file_id"], "objects": ["file-1"]},
        ),
        ({"type": "input_audio", "input_audio": {"data": "AA"}}, {"media": 1}),
        ({"type": "hologram"}, {"outside": ["hologram"]}),
        (
            {"type": "input_text", "text": "", "prompt_cache_breakpoint": {"ttl": "12h"}},
            {"priced": ["prompt_cache_breakpoint.ttl"]},
        ),
    ],
)
def test_each_part_is_noted_for_what_it_brings(
    part: dict[str, object], noted: dict[str, object]
) -> None:
    assert _noted(_part(part)) == noted
    output = {"type": "function_call_output", "call_id": "c", "output": [part]}
    assert _noted(_parse(output)) == noted


_NAMES = st.sampled_from(["type", "role", "content", "id", "output"])
_VALUES = st.sampled_from(
    ['"message"', '"item_reference"', '"function_call_output"', '"x"', "null",
     '[{"type":"input_image"}]']
)  # fmt: skip


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=4))
def test_first_wins_and_last_wins_parsers_note_the_same(pairs: list[tuple[str, str]]) -> None:
    def note(chosen: list[tuple[str, str]]) -> object:
        raw = "{" + ",".join(f'"{name}":{value}' for name, value in chosen) + "}"
        try:
            return _noted(CODEC.parse(f'{{"model":"m","input":[{raw}]}}'.encode()))
        except PeerError:
            return None

    noted = note(pairs)
    if noted is not None:
        assert note(list(dict(pairs).items())) == noted
        assert note(list(dict(reversed(pairs)).items())) == noted


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": {"type": "input_image", "image_url": "https://x/a.png"}},
        {"type": "function_call_output", "call_id": "c", "output": {"type": "input_image"}},
    ],
)
def test_an_object_in_place_of_parts_is_refused(item: dict[str, object]) -> None:
    with pytest.raises(PeerError, match="neither text nor a list of parts"):
        _parse(item)


def test_media_are_noted_by_their_names_whatever_the_type_says() -> None:
    part: dict[str, object] = {"type": "input_text", "text": "x", "file_url": "https://x/a.pdf"}
    assert _noted(_part(part)) == {"outside": ["file_url"]}


def test_an_image_that_code_has_made_is_fetched_from_outside() -> None:
    made = {"type": "code_interpreter_call", "outputs": [{"type": "image", "url": "https://x"}]}
    assert _noted(_parse(made)) == {"outside": ["url"], "images": 1}
