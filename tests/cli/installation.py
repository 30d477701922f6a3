"""A real plane in a process, an agent that talks to it, and commands called as a person would."""

import contextlib
import http.client
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringfence.cli.main import main

SECRET = "sk-upstream-Zk3v9QmT4x8LwB2n"
SECRET_NAME = "RINGFENCE_TEST_UPSTREAM_KEY"
OWNER = "owner@acme.example"
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\r\nsecond line"
CONFIGURATION = """\
format: 1
organisation: {name: acme, timezone: UTC, budget: {usd: 50, per: month}}
teams:
  support: {budget: {usd: 5, per: day}}
users:
  owner@acme.example: {roles: [admin]}
  reader@acme.example: {roles: [viewer]}
providers:
  house: {protocol: openai, base_url: "MODEL/v1", credential: "${RINGFENCE_TEST_UPSTREAM_KEY}"}
models:
  small: {provider: house, price: {input: 1, output: 4}}
agents:
  triage:
    owner: owner@acme.example
    team: support
    purpose: Route incoming tickets.
    models: [small]
    commands: [git]
    budget: {usd: 1, per: day}
  poor:
    owner: owner@acme.example
    models: [small]
    budget: {usd: 0.000001, per: invocation}
"""
_DEADLINE_S = 60.0
_CHANCE = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401 (whatever the command writes)
        return json.loads(self.out)

    @property
    def written(self) -> str:
        return self.out + self.err


def call(*arguments: str) -> Result:
    """Run a command in this process."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
    texts = []
    for stream in (out, err):
        stream.flush()
        buffer = stream.buffer
        assert isinstance(buffer, io.BytesIO)
        texts.append(buffer.getvalue().decode())
    assert isinstance(code, int)
    return Result(code, *texts)


def environment(**more: str) -> dict[str, str]:
    """The environment of a process of ours: the upstream's secret is in it."""
    return {**os.environ, SECRET_NAME: SECRET, **more}


def start(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Run a command in a process of its own."""
    return subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-m", "ringfence", *arguments],
        cwd=cwd,
        env=dict(env or environment()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], number: int | None = None) -> Result:
    """What a process did; it is sent a signal first if there is one."""
    if number is not None:
        process.send_signal(number)
    out, err = process.communicate(timeout=_DEADLINE_S)
    return Result(process.returncode, out, err)


@contextlib.contextmanager
def serving_model(script: Path | None = None) -> Iterator[str]:
    """The scripted model in a process; gives its URL."""
    played = ("--script", str(script)) if script is not None else ()
    process = subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-m", "ringfence.testing.model", "--port", "0", *played],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        finish_quietly(process)


@dataclass(slots=True)
class Installation:
    """A folder with a configuration, and perhaps a plane that runs on it."""

    folder: Path
    port: int = 0
    control_port: int = 0
    token: str = ""

    @property
    def where(self) -> tuple[str, ...]:
        """The options that name it."""
        return ("--config", str(self.folder / "ringfence.yaml"), "--data", str(self.data))

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def call(self, *arguments: str) -> Result:
        return call(*arguments, *self.where)

    def ask(self, text: str, *, token: str = "") -> tuple[int, dict[str, Any]]:
        """One chat call of an agent."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_DEADLINE_S)
        body = {"model": "small", "messages": [{"role": "user", "content": text}]}
        headers = {
            "authorization": f"Bearer {token or self.token}",
            "content-type": "application/json",
        }
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer

    def newest_trace(self, agent: str) -> str:
        """The id of an agent's newest trace, once the messages of its last step are stored.

        They follow the record within a fraction of a second.
        """
        until = time.monotonic() + _DEADLINE_S
        while time.monotonic() < until:
            shown = self.call("trace", "show", "--last", "--agent", agent, "--json").json()
            if shown["steps"][-1]["reading"] is not None:
                return str(shown["invocation"])
        raise AssertionError("the messages are not stored")


def write_configuration(folder: Path, model_url: str = "http://127.0.0.1:9") -> Path:
    path = folder / "ringfence.yaml"
    path.write_text(CONFIGURATION.replace("MODEL", model_url), encoding="utf-8")
    return path


@contextlib.contextmanager
def running(folder: Path, model_url: str = "http://127.0.0.1:9") -> Iterator[Installation]:
    """A plane on free ports."""
    write_configuration(folder, model_url)
    installed = Installation(folder)
    process = start("up", *installed.where, "--port", "0", "--console-port", "0", cwd=folder)
    try:
        ready = await_ready(process)
        installed.port, installed.control_port = ready["data_port"], ready["control_port"]
        yield installed
    finally:
        finish_quietly(process)


def await_ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The log line by which a plane says that it is ready."""
    assert process.stderr is not None
    until = time.monotonic() + _DEADLINE_S
    while time.monotonic() < until:
        line = process.stderr.readline()
        assert line, f"the plane ended with {process.wait()}"
        event = json.loads(line)
        if event["event"] == "ready":
            return dict(event)
    raise AssertionError("the plane does not get ready")


def finish_quietly(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=_DEADLINE_S)


def free_port() -> int:
    """A port that nobody has, and that the kernel gives to nobody meanwhile (ip(7))."""
    for _ in range(1000):
        port = _CHANCE.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
