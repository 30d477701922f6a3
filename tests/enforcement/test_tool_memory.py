import asyncio
import json
from dataclasses import replace

from tests.enforcement.workshop import Workshop

from ringfence.domain.tool import ToolKey
from ringfence.domain.user import Principal
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.tool_memory import REST, REST_TOOL, ToolMemory, piece
from ringfence.protocols.tool_definition import read_definition
from ringfence.protocols.tool_result import ToolResult

KEY = ToolKey(server="crm", name="get_job")
LONG = ToolResult(texts=("abc" * 1_000,))


def callers() -> tuple[Caller, Caller]:
    """An agent on nobody's behalf, and the same for a user."""

    async def made() -> tuple[Caller, Caller]:
        plain = Workshop().caller()
        principal = Principal(id="user_owner", name="owner@acme.example")
        runtime = plain.runtime.used_by((plain.tier,), principal)
        return plain, replace(plain, runtime=runtime)

    return asyncio.run(made())


def asked(offset: int, result: str = "act_1") -> bytes:
    return json.dumps({"result": result, "offset": offset}).encode()


def test_an_answer_is_for_the_same_call_of_the_same_agent_and_user() -> None:
    memory, (plain, ann) = ToolMemory(), callers()
    memory.keep_answer(plain, KEY, b"{}", b"one", 5)
    assert memory.answer(plain, KEY, b"{}") == (b"one", 5)
    assert memory.answer(ann, KEY, b"{}") is None
    assert memory.answer(plain, KEY, b'{"a":1}') is None
    memory.keep_answer(plain, KEY, b"{}", b"two", 6)
    assert memory.answer(plain, KEY, b"{}") == (b"two", 6)


def test_the_oldest_goes_when_there_is_no_room() -> None:
    memory, (plain, _) = ToolMemory(bytes_max=100), callers()
    for number in range(5):
        memory.keep_answer(plain, KEY, b"%d" % number, b"x" * 30, 0)
    kept = [number for number in range(5) if memory.answer(plain, KEY, b"%d" % number)]
    assert kept == [2, 3, 4]
    memory.keep_answer(plain, KEY, b"big", b"x" * 90, 0)
    assert memory.answer(plain, KEY, b"big") is None


def test_the_rest_is_read_on_until_its_end() -> None:
    memory, (plain, ann) = ToolMemory(), callers()
    memory.keep_rest(plain, "act_1", LONG, 1_000)
    texts, offset = [], 0
    while True:
        answer = json.loads(memory.rest(plain, asked(offset)))
        texts.append(answer["content"][0]["text"])
        if len(answer["content"]) == 1:
            break
        note = answer["content"][1]["text"]
        assert REST.merged in note
        offset = json.loads(note[note.index("{") : note.rindex("}") + 1])["offset"]
    assert "".join(texts) == LONG.texts[0]
    assert json.loads(memory.rest(ann, asked(0)))["isError"]


def test_what_is_not_kept_or_not_asked_rightly_says_so() -> None:
    memory, (plain, _) = ToolMemory(), callers()
    assert "not kept" in json.loads(memory.rest(plain, asked(0)))["content"][0]["text"]
    assert json.loads(memory.rest(plain, b'{"result": 7}'))["isError"]


def test_the_built_in_tool_has_a_definition_that_can_be_read() -> None:
    assert read_definition("ringfence", REST_TOOL).key == REST
    assert json.loads(piece(ToolResult(texts=("a",)), "act_1", 0, 10)) == {
        "content": [{"type": "text", "text": "a"}]
    }
