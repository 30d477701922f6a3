"""The least that a lone exec can wait: the handing on alone, with no decision and no ledger in it.

    python -m bench.egress.exec_floor [--folder .]

Somebody asks one process (the monitor), which asks another (the plane), which has a thread write a
page of a file that is long enough and sync it; then back the same way. Nothing is read, decided,
encoded or recorded. Each asks again after a pause, as programs that are started one after another
do: processors are idle in between, and waking one is most of it.
"""

import argparse
import os
import socket
import tempfile
import threading
import time
from pathlib import Path
from statistics import quantiles

_PAGE = bytes(range(256)) * 16
_PAGES = 1024
_ASKED = 1500
_PAUSE_S = 0.0006
"""About what a short program takes."""


def monitor(asker: socket.socket, plane: socket.socket) -> None:
    """Hand each question on, and its answer back."""
    while asker.recv(1):
        plane.send(b"?")
        plane.recv(1)
        asker.send(b"!")


def plane(asker: socket.socket, file: int, *, is_synced: bool) -> None:
    """Have a thread do what waits for the disk."""
    begun, done = os.eventfd(0), os.eventfd(0)

    def commit() -> None:
        at = 0
        while os.eventfd_read(begun):
            if is_synced:
                os.pwrite(file, _PAGE, at % _PAGES * len(_PAGE))
                os.fdatasync(file)
                at += 1
            os.eventfd_write(done, 1)

    threading.Thread(target=commit, daemon=True).start()
    while asker.recv(1):
        os.eventfd_write(begun, 1)
        os.eventfd_read(done)
        asker.send(b"!")


def forked(*ours: socket.socket) -> bool:
    """Whether this is the child, which has none of our ends."""
    if os.fork():
        return False
    for each in ours:
        each.close()
    return True


def measure(file: int, *, is_synced: bool) -> list[float]:
    """How long each of many questions waited, in microseconds."""
    asking, asked = socket.socketpair()
    onward, deciding = socket.socketpair()
    if forked(asking, deciding):
        monitor(asked, onward)
        os._exit(0)
    if forked(asking, asked, onward):
        plane(deciding, file, is_synced=is_synced)
        os._exit(0)
    for each in (asked, onward, deciding):
        each.close()
    waited = []
    for _ in range(_ASKED):
        time.sleep(_PAUSE_S)
        began = time.perf_counter()
        asking.send(b"?")
        asking.recv(1)
        waited.append((time.perf_counter() - began) * 1e6)
    asking.close()
    for _ in range(2):
        os.wait()
    return waited


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.egress.exec_floor")
    parser.add_argument("--folder", help="where the file is; a temporary folder")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as folder:
        file = os.open(Path(folder) / "file", os.O_RDWR | os.O_CREAT)
        os.write(file, _PAGE * _PAGES)
        os.fsync(file)
        for is_synced, what in ((False, "handed on and back"), (True, "and one page synced")):
            waited = measure(file, is_synced=is_synced)
            cuts = quantiles(waited, n=10)
            print(f"{what}: least {min(waited):.0f} µs, p10 {cuts[0]:.0f}, p50 {cuts[4]:.0f}")
        os.close(file)


if __name__ == "__main__":
    main()
