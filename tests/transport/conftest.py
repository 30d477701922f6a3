"""The engine must behave the same on both event loops."""

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
import uvloop

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run[Any]]:
    """Run a coroutine to its end on one of the loops."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    runner = asyncio.Runner(loop_factory=factory)
    yield runner.run
    with warnings.catch_warnings():
        if request.param == "uvloop":  # hangs if a warning of what a failed test left is an error
            warnings.simplefilter("ignore", ResourceWarning)
        runner.close()
