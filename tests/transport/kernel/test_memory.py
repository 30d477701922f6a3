import ctypes
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.transport.kernel.child import needs_linux

from ringfence.transport.kernel.memory import Memory

pytestmark = needs_linux


def _at(buffer: ctypes.Array[Any]) -> int:
    return ctypes.addressof(buffer)


@given(st.binary(max_size=9000), st.integers(0, 4096), st.integers(1, 10000))
def test_text_ends_at_its_first_nul_or_bound(raw: bytes, offset: int, most: int) -> None:
    held = ctypes.create_string_buffer(bytes(offset) + raw)
    found = Memory(os.getpid()).text(_at(held) + offset, most)
    assert found == raw.split(b"\0")[0][:most]


@given(st.lists(st.integers(1, 2**63), max_size=1500), st.integers(1, 2000))
def test_pointers_end_at_a_null_or_bound(pointers: list[int], most: int) -> None:
    held = (ctypes.c_uint64 * (len(pointers) + 1))(*pointers, 0)
    assert Memory(os.getpid()).pointers(_at(held), most) == pointers[:most]


def test_no_pointer_is_no_array() -> None:
    assert Memory(os.getpid()).pointers(0, 10) == []


@pytest.mark.parametrize(
    "read", [lambda memory: memory.text(8, 10), lambda memory: memory.pointers(8, 10)]
)
def test_what_is_not_there_cannot_be_read(read: Callable[[Memory], object]) -> None:
    with pytest.raises(OSError, match="process_vm_readv"):
        read(Memory(os.getpid()))


def test_another_process_is_read() -> None:
    held = ctypes.create_string_buffer(b"before")
    pid = os.fork()
    if pid == 0:
        held.value = b"after"
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    assert Memory(pid).text(_at(held), 100) == b"after"
    assert held.value == b"before"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with pytest.raises(ProcessLookupError):
        Memory(pid).text(_at(held), 100)
