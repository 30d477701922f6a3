"""Functions are the agent's own; every other tool is the provider's."""

import json

import pytest

from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.protocols.gemini import GeminiCodec

CODEC = GeminiCodec()

# Every kind of tool of google-genai 3.4.0 (`Tool`) beside `functionDeclarations`.
HOSTED = [
    "retrieval",
    "computerUse",
    "fileSearch",
    "googleSearch",
    "googleMaps",
    "codeExecution",
    "enterpriseWebSearch",
    "googleSearchRetrieval",
    "parallelAiSearch",
    "urlContext",
    "mcpServers",
    "exaAiSearch",
    "aNewTool",
]


def parse(tools: object) -> ModelRequest:
    return CODEC.parse(json.dumps({"contents": [], "tools": tools}).encode(), path_model="m")


@pytest.mark.parametrize("name", ["functionDeclarations", "function_declarations"])
def test_functions_are_named(name: str) -> None:
    request = parse([{name: [{"name": "a"}, {"name": "b"}]}, {name: None}, {name: []}])
    assert (request.tools, request.hosted_tools) == (("a", "b"), ())


@pytest.mark.parametrize("name", HOSTED)
def test_what_the_provider_carries_out_is_put_to_policy(name: str) -> None:
    request = parse([{"functionDeclarations": [{"name": "a"}], name: {}}])
    assert (request.tools, request.hosted_tools) == (("a",), (Feature(name),))


def test_hosted_tools_in_the_other_spelling_are_the_same() -> None:
    assert parse([{"google_search": {}}]).hosted_tools == (Feature("googleSearch"),)


@pytest.mark.parametrize("tools", [None, [], [{"googleSearch": None}]])
def test_no_tools_are_none(tools: object) -> None:
    request = parse(tools)
    assert (request.tools, request.hosted_tools) == ((), ())
