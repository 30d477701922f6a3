"""Ten thousand execs of a real sandbox that wait for the plane at one time, and their ends.

    python -m bench.egress.exec_pending [--execs 10000]

A program in a strict sandbox forks so many processes, which all wait at a pipe. Then the plane is
stopped (SIGSTOP), the pipe is closed, and every process executes `/bin/true`: each waits in the
kernel until it is answered, which is counted from outside by what the kernel says that it waits
for. The plane goes on, and the record is read back: every command has an intent and an outcome with
its exit code, or the bench fails. It runs as root, who may see what another process waits for.
"""

import argparse
import contextlib
import signal
import tempfile
import time
from pathlib import Path

from bench.egress.exec_whole import cpu_s, lost
from tests.sandbox import whole
from tests.sandbox.whole import WholePlane, config

_AGENT = """\
  a:
    owner: owner@acme.example
    purpose: Be run.
    models: [small]
    commands: ["*"]
    limits: {{commands: unlimited}}
    sandbox: {{tier: strict, processes: {processes}}}
"""
_CROWD = """\
import os, sys, time
reading, writing = os.pipe()
pids = []
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if not pid:
        os.close(writing)
        os.read(reading, 1)
        os.execv("/bin/true", ["true"])
    pids.append(pid)
print("forked", flush=True)
sys.stdin.readline()
began = time.monotonic()
os.close(writing)
failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)
print(failed, time.monotonic() - began, flush=True)
"""
_PATIENCE_S = 8.0
"""Less than a monitor waits for a plane that says nothing."""


def waiting() -> int:
    """How many processes of this machine wait for the answer to a system call."""
    found = 0
    for entry in Path("/proc").glob("[0-9]*/wchan"):
        with contextlib.suppress(OSError):
            found += "seccomp" in entry.read_text()
    return found


def crowd(plane: WholePlane, execs: int) -> str:
    """Let them all begin at once, and say how that went."""
    assert plane.process is not None
    (plane.work / "crowd.py").write_text(_CROWD)
    command = plane.command(
        "run", "--agent", "a", "--", "/usr/bin/python3", "-S", "-I", "crowd.py", str(execs)
    )
    pipes = dict.fromkeys(("stdin", "stdout"), -1)
    with plane.user.start(
        command, env=plane.environment, cwd=plane.work, text=True, **pipes
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        if running.stdout.readline() != "forked\n":
            raise SystemExit("the processes could not be forked")
        plane_s = cpu_s(plane.process.pid)
        plane.process.send_signal(signal.SIGSTOP)
        stopped_s = time.monotonic()
        running.stdin.write("go\n")
        running.stdin.flush()
        at_once = 0
        while at_once < execs and time.monotonic() - stopped_s < _PATIENCE_S:
            at_once = max(at_once, waiting())
        held_s = time.monotonic() - stopped_s
        plane.process.send_signal(signal.SIGCONT)
        failed, took_s = running.stdout.readline().split()
        running.stdin.close()
        if running.wait() or int(failed):
            raise SystemExit(f"{failed} of {execs} commands failed")
    plane_s = cpu_s(plane.process.pid) - plane_s
    after_s = float(took_s) - held_s
    return (
        f"{at_once} waited at one time while the plane was stopped for {held_s:.1f} s;"
        f" all had ended {after_s:.1f} s after it went on,"
        f" {after_s / execs * 1e6:.0f} µs each; CPU of the plane {plane_s / execs * 1e6:.0f} µs"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.egress.exec_pending")
    parser.add_argument("--execs", type=int, default=10_000)
    execs = parser.parse_args().execs
    whole.RUN_S = 900
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        plane = WholePlane(Path(folder).resolve(), config(_AGENT.format(processes=execs + 1000)))
        plane.start()
        try:
            print(crowd(plane, execs))
            print(lost(plane, execs))
        finally:
            plane.stop()


if __name__ == "__main__":
    main()
