import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.authorization import guarded

import ringfence
from ringfence.app.tool_reading import child_environment, read_server
from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.tool import OAuthClient, ToolServer

_SERVER = (sys.executable, "-m", "ringfence.testing.tools")
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(ringfence.__file__).parents[1])}


def _names(server: ToolServer, environment: dict[str, str] | None = None) -> set[str]:
    found = read_server(server, environment or _ENVIRONMENT)
    assert found.problems == []
    return {each.key.name for each in found.tools}


def _command(*arguments: str) -> ToolServer:
    return ToolServer(name="scripted", command=(*_SERVER, "--stdio", *arguments))


@pytest.mark.parametrize("eras", ["both", "legacy", "modern"])
def test_a_command_is_asked_for_all_its_pages_in_whatever_era(eras: str) -> None:
    names = _names(_command("--eras", eras, "--page", "2"))
    assert {"echo", "add", "counter"} <= names


@pytest.mark.parametrize("eras", ["both", "legacy", "modern"])
def test_a_url_is_asked_likewise(eras: str) -> None:
    with _serving("--eras", eras, "--page", "2") as url:
        names = _names(ToolServer(name="scripted", url=url))
    assert {"echo", "add", "counter"} <= names


def test_a_token_is_taken_from_the_environment() -> None:
    with _serving("--token", "tok-1") as url:
        server = ToolServer(name="scripted", url=url, credential="THE_TOKEN")
        assert "echo" in _names(server, {**_ENVIRONMENT, "THE_TOKEN": "tok-1"})
        with pytest.raises(RingfenceError):
            read_server(ToolServer(name="scripted", url=url), _ENVIRONMENT)


def test_a_tool_that_cannot_be_read_is_told_and_the_others_are_given() -> None:
    extra = '[{"name": "", "inputSchema": {}}]'
    found = read_server(_command("--extra", extra), _ENVIRONMENT)
    assert found.problems == ["a tool of `scripted` has no usable name"]
    assert len(found.tools) > 3


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("/nonexistent/program",), "cannot be started"),
        ((sys.executable, "-c", "pass"), "ended before it had listed"),
    ],
)
def test_a_command_that_does_not_answer_is_told(command: tuple[str, ...], message: str) -> None:
    with pytest.raises(UnavailableError, match=message):
        read_server(ToolServer(name="x", command=command), _ENVIRONMENT)


def test_nobody_at_a_url_is_told() -> None:
    with pytest.raises(RingfenceError):
        read_server(ToolServer(name="x", url="http://127.0.0.1:9/mcp"), _ENVIRONMENT)


def test_a_command_gets_the_environment_of_who_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_TEST_VARIABLE", "here")
    assert child_environment()["RINGFENCE_TEST_VARIABLE"] == "here"


class _serving:  # noqa: N801 (used like a function)
    """A scripted server in a process of its own; gives its URL."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def __enter__(self) -> str:
        self._process = subprocess.Popen(  # noqa: S603 (our own program)
            [*_SERVER, "--port", "0", *self._arguments],
            env=_ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return line.split()[-1]

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)
        if self._process.stdout is not None:
            self._process.stdout.close()


def test_a_server_with_oauth_is_read_as_the_plane_reads_it() -> None:
    async def story() -> None:
        async with guarded() as there:
            oauth = OAuthClient(client="us", secret="THE_SECRET", token_url=f"{there.url}/token")
            server = ToolServer(name="scripted", url=f"{there.url}/mcp", oauth=oauth)
            environment = {**_ENVIRONMENT, "THE_SECRET": "s" * 20}
            found = await asyncio.to_thread(read_server, server, environment)
            assert "echo" in {each.key.name for each in found.tools}
            granted = ToolServer(
                name="scripted", url=f"{there.url}/mcp", oauth=OAuthClient(is_by_person=True)
            )
            with pytest.raises(UnavailableError, match="granted"):
                await asyncio.to_thread(read_server, granted, environment)

    asyncio.run(story())
