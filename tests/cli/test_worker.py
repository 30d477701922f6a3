import os
import socket
import subprocess
import sys

import msgspec

from ringfence.app.message import VERSION
from ringfence.transport.frame import LENGTH_BYTES, frame


def test_a_worker_of_another_version_is_refused_and_says_so() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(  # noqa: S603 (our own program)
                [sys.executable, "-m", "ringfence", "worker", "--link", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=dict(os.environ),
            )
        ours.settimeout(20)
        greeting = msgspec.msgpack.decode(ours.recv(4096)[LENGTH_BYTES:])
        assert greeting == {"ringfence": VERSION, "pid": process.pid}
        ours.sendall(frame(msgspec.msgpack.encode({"ringfence": "0.0.0", "pid": 1})))
        _, told = process.communicate(timeout=20)
    assert process.returncode == 2
    assert b"version `0.0.0`" in told
    assert b"restart the plane" in told


def test_the_command_is_not_shown_to_people() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ringfence", "--help"], check=True, stdout=subprocess.PIPE
    )
    assert b"worker " not in done.stdout
