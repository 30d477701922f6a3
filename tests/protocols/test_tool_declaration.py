import json

import pytest

from ringfence.domain.model import Dialect
from ringfence.domain.tool_dialect import ToolDialect
from ringfence.protocols.chat import ChatCodec
from ringfence.protocols.tool_declaration import Declaration, Mended, read, rewrite, with_tools

_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
_CHAT = [
    {"type": "function", "function": {"name": "get", "parameters": _SCHEMA, "strict": True}},
    {"type": "custom", "custom": {"name": "free"}},
    {"type": "function", "function": {"name": "put", "description": "Puts."}},
]
_GEMINI = [
    {"functionDeclarations": [{"name": "get", "parameters": _SCHEMA}, {"name": "put"}]},
    {"googleSearch": {}},
    {"function_declarations": [{"name": "cut", "parametersJsonSchema": _SCHEMA}]},
]


def _raw(tools: object) -> bytes:
    return json.dumps(tools).encode()


def _brief(found: tuple[Declaration, ...]) -> list[tuple[str, tuple[int, int], str, bool]]:
    return [(each.name, each.place, each.field, each.is_strict) for each in found]


@pytest.mark.parametrize(
    ("dialect", "tools", "expected"),
    [
        (
            Dialect.CHAT,
            _CHAT,
            [("get", (0, 0), "parameters", True), ("put", (2, 0), "parameters", False)],
        ),
        (
            Dialect.RESPONSES,
            [{"type": "function", "name": "get", "parameters": _SCHEMA}, {"type": "web_search"}],
            [("get", (0, 0), "parameters", False)],
        ),
        (
            Dialect.MESSAGES,
            [
                {"name": "get", "input_schema": _SCHEMA, "strict": True},
                {"type": "custom", "name": "put", "input_schema": _SCHEMA},
                {"type": "bash_20250124", "name": "bash"},
            ],
            [("get", (0, 0), "input_schema", True), ("put", (1, 0), "input_schema", False)],
        ),
        (
            Dialect.GEMINI,
            _GEMINI,
            [
                ("get", (0, 0), "parameters", False),
                ("put", (0, 1), "parameters", False),
                ("cut", (2, 0), "parametersJsonSchema", False),
            ],
        ),
        (Dialect.EMBEDDINGS, _CHAT, []),
    ],
)
def test_functions_of_the_agent_are_read(
    dialect: Dialect, tools: object, expected: list[tuple[str, tuple[int, int], str, bool]]
) -> None:
    assert _brief(read(dialect, _raw(tools))) == expected


@pytest.mark.parametrize(
    "raw", [b"null", b"{}", b"[1,null,{}]", b'[{"function":7}]', b'[{"name":1}]']
)
def test_what_declares_nothing_gives_nothing(raw: bytes) -> None:
    for dialect in Dialect:
        assert read(dialect, raw) == ()


def test_what_is_not_mended_keeps_its_bytes() -> None:
    first = b'{ "type":"function","function":{"name":"a","x":1.10} }'
    second = b'{"type":"function","function":{"name":"b","parameters":null}}'
    change = Mended(dialect=ToolDialect.OPENAI, schema={"type": "object"}, told=("Say so.",))
    raw = b"[" + first + b" , " + second + b"]"
    assert rewrite(Dialect.CHAT, raw, {(1, 0): change}) == (
        b"[" + first + b',{"type":"function","function":{"name":"b",'
        b'"parameters":{"type":"object"},"description":"Say so."}}]'
    )
    assert rewrite(Dialect.CHAT, raw, {(0, 0): None}) == b"[" + second + b"]"
    assert rewrite(Dialect.CHAT, raw, {(0, 0): None, (1, 0): None}) == b"[]"


def test_a_tool_that_is_no_longer_strict_says_so() -> None:
    change = Mended(dialect=ToolDialect.OPENAI, schema=_SCHEMA, told=())
    [tool, *_] = json.loads(rewrite(Dialect.CHAT, _raw(_CHAT), {(0, 0): change}))
    assert tool["function"] == {"name": "get", "parameters": _SCHEMA, "strict": False}


def test_gemini_s_functions_are_mended_one_by_one() -> None:
    change = Mended(dialect=ToolDialect.GEMINI_JSON, schema={"type": "object"}, told=())
    mended = json.loads(rewrite(Dialect.GEMINI, _raw(_GEMINI), {(0, 0): change, (2, 0): None}))
    assert mended == [
        {
            "functionDeclarations": [
                {"name": "get", "parametersJsonSchema": {"type": "object"}},
                {"name": "put"},
            ]
        },
        {"googleSearch": {}},
    ]


def test_a_number_that_cannot_be_written_again_is_an_error() -> None:
    raw = b'[{"type":"function","function":{"name":"a","x":1e999}}]'
    change = Mended(dialect=ToolDialect.OPENAI, schema={}, told=())
    with pytest.raises(ValueError, match="compliant"):
        rewrite(Dialect.CHAT, raw, {(0, 0): change})


@pytest.mark.parametrize("order", [("model", "tools", "messages"), ("messages", "tools", "model")])
def test_a_request_with_other_tools_is_read_as_if_it_had_come_so(order: tuple[str, ...]) -> None:
    whole = {"model": "small", "tools": _CHAT, "messages": [{"role": "user", "content": "Hé"}]}
    body = json.dumps({name: whole[name] for name in order}, ensure_ascii=False).encode()
    codec = ChatCodec()
    changed = with_tools(codec.parse(body), _raw(_CHAT[1:]), frozenset({"get"}))
    again = codec.parse(changed.body)
    assert changed == again
    assert json.loads(changed.body)["tools"] == _CHAT[1:]
    assert changed.tools == ("free", "put")
