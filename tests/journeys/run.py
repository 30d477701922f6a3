"""Runs a driver, bounded in time, and reads the line in which it says what the user saw."""

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.journeys.environment import CLIENTS, Environment

_MARK = "JOURNEY "


class DriverError(Exception):
    """A driver said nothing, or took too long."""


class Driven(Protocol):
    """What must be known of a journey to start its driver."""

    @property
    def folder(self) -> str:
        """Where manifest and drivers lie."""

    @property
    def mode(self) -> str:
        """The driver's own word for the way it is to go."""

    @property
    def timeout_s(self) -> float:
        """After so long it is ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a driver is to do: where, as whom, with which prompts and headers of ours.

    `kind` is `talk`, `turns` or `tool`; `case` names the home folder of this run. `driver` is the
    program; `server` the tool server that it is to use, if it calls tools through the plane.
    """

    case: str
    kind: str
    url: str
    token: str
    model: str
    prompts: dict[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    driver: str = "driver.py"
    server: str = ""


async def drive(journey: Driven, environment: Environment, order: Order) -> dict[str, Any]:
    """What the client's user saw. Raises DriverError."""
    variables = environment.variables(order.case) | {
        "JOURNEY_URL": order.url,
        "JOURNEY_TOKEN": order.token,
        "JOURNEY_MODEL": order.model,
        "JOURNEY_MODE": journey.mode,
        "JOURNEY_CASE": order.kind,
        "JOURNEY_SERVER": order.server,
        "JOURNEY_PROMPTS": json.dumps(order.prompts),
        "JOURNEY_HEADERS": json.dumps(dict(order.headers)),
    }
    command = [str(environment.python), str(CLIENTS / journey.folder / order.driver)]
    output, errors = await _bounded(command, variables, journey.timeout_s)
    for line in output.splitlines():
        if line.startswith(_MARK):
            seen: dict[str, Any] = json.loads(line.removeprefix(_MARK))
            return seen
    raise DriverError(f"no report; it wrote: {output[-1500:]} {errors[-3000:]}")


async def _bounded(
    command: list[str], variables: dict[str, str], limit_s: float
) -> tuple[str, str]:
    """Output and errors, in files: a grandchild that keeps a pipe open holds nobody up."""
    home = Path(variables["HOME"])
    with (
        tempfile.TemporaryFile("w+b") as output,
        tempfile.TemporaryFile("w+b") as errors,
    ):
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=home,
            env=variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
        try:
            await asyncio.wait_for(process.wait(), limit_s)
        except TimeoutError:
            pass
        finally:
            _end_group(process.pid)
            await process.wait()
        output.seek(0)
        errors.seek(0)
        return output.read().decode(errors="replace"), errors.read().decode(errors="replace")


def _end_group(leader: int) -> None:
    """End what the driver left behind; its group is its own."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
