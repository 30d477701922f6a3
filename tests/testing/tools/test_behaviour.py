import asyncio

import pytest

from ringfence.testing.tools.behaviour import FaultError, call
from ringfence.testing.tools.plan import Json


class Noting:
    """A `Caller` that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.counted = 0

    async def tell(self, method: str, params: Json) -> None:
        self.told.append(f"{method} {params.get('progress', '')}".strip())

    async def ask(self, key: str, method: str, params: Json) -> Json:
        del key, params
        return {"elicitation/create": {"action": "accept", "content": {"name": "Ada"}}}[method]

    def count(self) -> int:
        self.counted += 1
        return self.counted

    def change_tools(self) -> None:
        self.told.append("changed")

    def touch(self, uri: str) -> None:
        self.told.append(uri)


def done(tool: str, caller: Noting | None = None, **given: object) -> str:
    result = asyncio.run(call(caller or Noting(), tool, dict(given), {"progressToken": "t"}))
    return str(result["content"][0]["text"])


def test_tools_do_what_their_names_say() -> None:
    assert done("echo", text="hi") == "hi"
    assert done("add", a=2, b=3) == "5"
    assert done("ask") == "accept: Ada"
    assert done("big", bytes=3) == "xxx"
    assert done("mine") == "mine"


def test_progress_is_told_while_it_is_made() -> None:
    caller = Noting()
    assert done("progress", caller, steps=2) == "2 steps"
    assert caller.told == ["notifications/progress 1", "notifications/progress 2"]


def test_a_failure_is_the_tools_own_or_the_transports() -> None:
    assert asyncio.run(call(Noting(), "fail", {"how": "error"}, {}))["isError"] is True
    with pytest.raises(FaultError, match="503"):
        asyncio.run(call(Noting(), "fail", {"how": "503"}, {}))
