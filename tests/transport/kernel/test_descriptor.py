import os
import socket

import pytest

from ringfence.domain.error import PeerError
from ringfence.transport.kernel.descriptor import (
    DESCRIPTORS_MOST,
    close_all_but,
    receive_fds,
    send_fds,
)


def test_descriptors_arrive_with_their_payload_and_are_not_inherited() -> None:
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    with ours, theirs:
        send_fds(ours, b"hello", [writing])
        payload, (got,) = receive_fds(theirs, 100)
    os.close(writing)
    assert payload == b"hello"
    assert not os.get_inheritable(got)
    os.write(got, b"through")
    os.close(got)
    assert os.read(reading, 100) == b"through"
    os.close(reading)


def test_a_message_without_descriptors_has_none() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send_fds(ours, b"alone", [])
        assert receive_fds(theirs, 100) == (b"alone", [])
        ours.close()
        assert receive_fds(theirs, 100) == (b"", [])


def test_more_descriptors_than_are_taken_are_refused_and_closed() -> None:
    ours, theirs = socket.socketpair()
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    with ours, theirs:
        reading, writing = os.pipe()
        send_fds(ours, b"many", [writing] * (DESCRIPTORS_MOST + 4))
        os.close(writing)
        with pytest.raises(PeerError, match="more descriptors"):
            receive_fds(theirs, 100)
    assert os.read(reading, 1) == b""  # no copy is left open
    os.close(reading)
    assert not before or len(os.listdir("/proc/self/fd")) <= len(before)


def test_every_other_descriptor_is_closed() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            low, high = os.pipe(), os.dup2(writing, 777)
            close_all_but({0, 1, 2, high})
            left = []
            for each in range(900):
                try:
                    os.fstat(each)
                    left.append(each)
                except OSError:
                    continue
            os.write(high, repr((low, left)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    said = os.read(reading, 1000).decode()
    os.close(reading)
    os.waitpid(pid, 0)
    assert said.endswith("[0, 1, 2, 777])"), said
