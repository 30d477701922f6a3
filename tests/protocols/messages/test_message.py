"""What content blocks bring along is found wherever it stands, and text is never taken for it."""

import json

import pytest

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.protocols.messages import MessagesCodec

CODEC = MessagesCodec()
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
PDF = {"type": "document", "source": {"type": "url", "url": "https://a.example/x.pdf"}}
FILE = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
UPLOAD = {"type": "container_upload", "file_id": "file_2"}
ADDED = {"type": "tool_definition", "definition": {"type": "web_fetch_20260318", "name": "f"}}


def content(*blocks: object) -> ModelRequest:
    messages = [{"role": "user", "content": "Hi"}, {"role": "user", "content": list(blocks)}]
    return CODEC.parse(json.dumps({"model": "m", "messages": messages}).encode())


def result(*blocks: object) -> object:
    return {"type": "tool_result", "tool_use_id": "t", "content": list(blocks)}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "text": '{"type":"image","source":{"type":"file","file_id":"x"}}'},
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "tool_use", "id": "t", "name": "n", "input": {"source": IMAGE, "file_id": "x"}},
        {"type": "thinking", "thinking": "…", "signature": "x"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
        {"type": "document", "source": {"type": "content", "content": "x"}},
        {"type": "search_result", "source": "https://a.example", "title": "x", "content": []},
        {
            "type": "code_execution_tool_result",
            "content": {"content": [{"type": "code_execution_output", "file_id": "made_here"}]},
        },
        result({"type": "text", "text": "x"}),
        {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "x"}},
        "not a block",
    ],
)
def test_text_and_tool_calls_bring_nothing(block: object) -> None:
    request = content(block)
    assert (request.images, request.media) == (0, 0)
    assert not request.outside_inputs + request.hosted_tools + request.priced_fields
    assert not request.tools + request.provider_objects


@pytest.mark.parametrize(
    ("blocks", "images", "media"),
    [
        ([IMAGE], 1, 0),
        ([PDF], 0, 1),
        ([IMAGE, {"type": "text", "text": "x"}, PDF, IMAGE], 2, 1),
        ([result(IMAGE, PDF)], 1, 1),
        ([{"type": "document", "source": {"type": "content", "content": [IMAGE]}}], 1, 0),
        ([{"type": "web_fetch_tool_result", "content": {"type": "web_fetch_result",
           "content": {"type": "document", "source": {"type": "base64", "data": "x"}}}}], 0, 1),
        ([{"type": "hologram", "source": {"type": "base64"}}], 0, 1),
        ([{"type": "image", "source": {}}], 1, 0),
    ],
)  # fmt: skip
def test_images_and_media_are_counted(blocks: list[object], images: int, media: int) -> None:
    request = content(*blocks)
    assert (request.images, request.media) == (images, media)


@pytest.mark.parametrize(
    ("block", "file_id"),
    [
        (FILE, "file_1"),
        (UPLOAD, "file_2"),
        ({"type": "image", "source": {"type": "file", "file_id": "file_3"}}, "file_3"),
        (result(FILE), "file_1"),
    ],
)
def test_files_of_the_provider_are_named(block: object, file_id: str) -> None:
    request = content(block)
    assert request.outside_inputs == (Feature("file_id", file_id),)
    assert request.provider_objects == (file_id,)
    assert request.images == 0


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_addition", "tool": ADDED},
        {"type": "compaction", "content": "x", "tool_changes": [
            {"type": "tool_addition", "tool": ADDED}]},
    ],
)  # fmt: skip
def test_tools_added_on_the_way_are_put_to_policy(block: object) -> None:
    assert content(block).hosted_tools == (Feature("web_fetch", "web_fetch_20260318"),)


def test_a_name_written_with_escapes_hides_nothing() -> None:
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": [FILE]}]})
    hidden = raw.replace("source", "s\\u006furce").replace("file_id", "\\u0066ile_id")
    assert CODEC.parse(hidden.encode()).provider_objects == ("file_1",)


def test_a_name_given_twice_hides_nothing() -> None:
    block = '{"type":"document","source":{"type":"file","file_id":"f"},"source":{"type":"text"}}'
    raw = '{"model":"m","messages":[{"role":"user","content":[' + block + "]}]}"
    with pytest.raises(PeerError, match="duplicate"):
        CODEC.parse(raw.encode())


def test_system_prompts_are_looked_into() -> None:
    body = {"model": "m", "messages": [], "system": [{"type": "text", "text": "x"}, FILE]}
    assert CODEC.parse(json.dumps(body).encode()).provider_objects == ("file_1",)
    body["system"] = "x"
    assert CODEC.parse(json.dumps(body).encode()).provider_objects == ()


def test_a_block_of_an_unknown_type_is_from_outside() -> None:
    assert content({"type": "video"}).outside_inputs == (Feature("video"),)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_result", "Content": [IMAGE]},
        {"type": "image", "Source": IMAGE["source"]},
        {"type": "image", "source": {"Type": "file", "file_id": "x"}},
        {"Type": "image"},
    ],
)
def test_names_in_another_case_are_refused_in_blocks(block: object) -> None:
    with pytest.raises(PeerError, match="in another case"):
        content(block)


def test_a_message_whose_names_are_in_another_case_is_refused() -> None:
    body = {"model": "m", "messages": [{"role": "user", "Content": [IMAGE]}]}
    with pytest.raises(PeerError, match="in another case"):
        CODEC.parse(json.dumps(body).encode())


def test_a_tool_whose_type_is_in_another_case_is_refused() -> None:
    tool = {"name": "x", "Type": "web_search_20250305"}
    body = {"model": "m", "messages": [], "tools": [tool]}
    with pytest.raises(PeerError, match="in another case"):
        CODEC.parse(json.dumps(body).encode())
