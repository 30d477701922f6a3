"""Do something that cannot be undone, such as leaving a namespace, in a child of its own."""

import functools
import json
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from ringfence.transport.kernel import namespace

ORDINARY = 65534
needs_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"},
    reason="Linux on x86_64 or aarch64 alone",
)


def in_child(do: Callable[[], Any], *, is_ordinary: bool = False) -> Any:
    """What it returned; an OSError as the name of the call and the number."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 1
        signal.alarm(20)
        try:
            if is_ordinary and os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(ORDINARY, ORDINARY, ORDINARY)
                os.setresuid(ORDINARY, ORDINARY, ORDINARY)
            os.write(writing, json.dumps(_tried(do)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as channel:
        said = channel.read()
    _, status = os.waitpid(pid, 0)
    assert said, os.waitstatus_to_exitcode(status)
    return json.loads(said)


def _tried(do: Callable[[], Any]) -> Any:
    try:
        return do()
    except OSError as error:
        return {"errno": error.errno, "filename": error.filename, "trace": traceback.format_exc()}


def number(do: Callable[[], Any]) -> int:
    """The errno with which something fails; 0 if it does not."""
    try:
        do()
    except OSError as error:
        return error.errno or -1
    return 0


@functools.cache
def _has_namespaces() -> bool:
    if sys.platform != "linux":
        return False
    return bool(in_child(lambda: number(lambda: namespace.unshare(namespace.USER))) == 0)


@pytest.fixture
def has_namespaces() -> None:
    """Skip where this machine lets nobody have namespaces."""
    if not _has_namespaces():
        pytest.skip("user namespaces are forbidden here")
