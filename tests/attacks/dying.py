"""Whatever dies or stops at whatever moment, the agent gains nothing: tried at random.

Each round starts a sandbox whose program runs commands, reaches the gateway and asks for names in
a loop, kills or stops one of the processes that hold it at a random moment, and then looks at what
the program still did. Longer: `python -m tests.attacks.dying --seconds 600`.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.sandbox import jail
from tests.sandbox.whole import AGENT, WholePlane, config, ordinary

PROGRAM = Path(__file__).parent / "programs" / "living.py"
PARTS: Final = ("monitor", "launcher", "worker", "other worker", "supervisor")
WAYS: Final = ("kill", "stop")
TIERS: Final = ("strict", "reduced")
_AGENT = AGENT.rstrip() + "\n    limits: {{commands: unlimited}}\n"
_FIRST_S: Final = 60.0
_STOPPED_S: Final = 4.0
"""Longer than authority lasts without renewal (1 s) and is waited for (2 s)."""
_GRACE_S: Final = 12.0
"""What was on its way when a part died, on a busy machine; what goes on does so for longer."""
_LAPSE_S: Final = 3.5
"""Longer than authority outlives a supervisor, and shorter than one is stopped."""
_BEGUN_S: Final = 2.5
"""What was let through before a part was stopped."""
_END_S: Final = 60.0
_AGAIN_S: Final = 90.0
"""A plane that follows a killed one waits for what is left of it, on a busy machine for long."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What was done to whom, and what the program did after it."""

    tier: str
    part: str
    way: str
    after_s: float
    """When after the program's first sign of life."""
    alive_s: float = 0.0
    """How long after it the last sign of life came; the same for the others."""
    execs_s: float = 0.0
    nets_s: float = 0.0
    names_s: float = 0.0
    gained: str = ""
    undurable: tuple[str, ...] = ()
    """Files that a command has made whose intent is not on the record."""
    is_over: bool = True
    """Whether the sandbox has ended in time, where it must."""

    def broken(self) -> list[str]:
        """What does not hold."""
        return [name for name, holds in self._claims().items() if not holds]

    def _claims(self) -> dict[str, bool]:
        """What must hold, by name; see docs/run.md, "How it ends"."""
        claims = {
            "nothing was gained": not self.gained,
            "every command was durable": not self.undurable,
        }
        is_untouched = self.part == "other worker"
        if self.way == "kill" and not is_untouched:
            claims["it starts nothing"] = self.execs_s <= _GRACE_S
            claims["it reaches nothing"] = max(self.nets_s, self.names_s) <= _GRACE_S
            claims["its sandbox ends"] = self.is_over
            # What a monitor of the reduced tier leaves behind lives on, without these two.
            is_left = self.tier == "reduced" and self.part in {"monitor", "launcher"}
            claims["it lives no longer"] = is_left or self.alive_s <= _GRACE_S
        if self.way == "stop" and self.part in {"monitor", "worker"}:
            claims["it starts nothing while that is stopped"] = self.execs_s <= _BEGUN_S
        if self.way == "stop" and self.part == "supervisor":
            claims["it starts nothing without authority"] = self.execs_s <= _LAPSE_S
            claims["it reaches nothing without authority"] = self.nets_s <= _LAPSE_S
        if is_untouched:
            claims["another's end changes nothing"] = self.execs_s > 1.0
        return claims


@dataclass
class World:
    """One plane with two workers, and a service of the host that nobody may reach."""

    plane: WholePlane
    chance: random.Random
    victim: socket.socket
    done: list[Round] = field(default_factory=list)

    def round(self, tier: str, part: str, way: str, after_s: float) -> Round:
        """Start, hurt, look, and clean up."""
        work = self.plane.work
        _empty(work)
        (work / "living.py").write_text(PROGRAM.read_text(encoding="utf-8"))
        (work / "made").mkdir()
        jail.give(work, "ordinary")
        words = (jail.PYTHON, "living.py", tier, str(self.victim.getsockname()[1]))
        with self.plane.running(*words, agent=f"a-{tier}") as process:
            self._wait_for("execs")
            time.sleep(after_s)
            found = self._hurt(Round(tier=tier, part=part, way=way, after_s=after_s), process)
        try:
            self._restore()
        except BaseException as error:
            error.add_note(str(found))
            raise
        found = Round(**{**vars(found), "undurable": self._undurable()})
        self.done.append(found)
        return found

    def _wait_for(self, name: str) -> None:
        ends = time.monotonic() + _FIRST_S
        while not _last(self.plane.work / name):
            assert time.monotonic() < ends, "the program never began"
            time.sleep(0.01)

    def _hurt(self, round_: Round, process: "subprocess.Popen[str]") -> Round:
        pid = self._pid(round_.part, process)
        at = time.monotonic()
        os.kill(pid, signal.SIGKILL if round_.way == "kill" else signal.SIGSTOP)
        try:
            if round_.way == "kill" and round_.part != "other worker":
                is_over = self._ended(process, _END_S)
            else:
                time.sleep(_STOPPED_S)
                is_over = True
            left = self._left(at)
        finally:
            if round_.way == "stop":
                os.kill(pid, signal.SIGCONT)
        return Round(**{**vars(round_), **left, "is_over": is_over})

    def _left(self, at: float) -> dict[str, object]:
        """What the program still did, once nothing more can be on its way."""
        time.sleep(0.2)
        work = self.plane.work
        lasts = {name: _last(work / name) - at for name in ("execs", "nets", "names")}
        gained = (work / "gained").read_text() if (work / "gained").exists() else ""
        return {
            "alive_s": _last(work / "ticks") - at,
            **{f"{name}_s": max(0.0, last) for name, last in lasts.items()},
            "gained": gained,
        }

    def _pid(self, part: str, process: "subprocess.Popen[str]") -> int:
        match part:
            case "monitor":
                return process.pid
            case "launcher":
                return _children(process.pid)[0]
            case "supervisor":
                assert self.plane.process is not None
                return self.plane.process.pid
            case _:
                serving = self._serving()
                workers = self._workers()
                others = [each for each in workers if each != serving]
                return serving if part == "worker" else others[0]

    def _workers(self) -> list[int]:
        status = json.loads(self.plane.ask("status", "--json").stdout)
        return [each["pid"] for each in status["workers"] if each["pid"]]

    def _serving(self) -> int:
        """The worker that serves the last sandbox: it writes the log in which that began."""
        log = self.plane.sights("sandbox.started")[-1]["log"]
        return self._writer(log, self._workers())

    @staticmethod
    def _writer(log: str, workers: list[int]) -> int:
        """Which worker has that log open."""
        for pid in workers:
            for each in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if f"/{log}.db" in os.readlink(each):
                        return pid
        raise AssertionError(f"nobody writes {log}")

    def _ended(self, process: "subprocess.Popen[str]", within_s: float) -> bool:
        """Whether the command line has ended, and in strict every process in the workspace."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(within_s)
            return True
        return False

    def _restore(self) -> None:
        """Nobody of the last round is left, and the plane runs."""
        for pid in _inside(self.plane.work):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        plane = self.plane
        if plane.process is not None and plane.process.poll() is not None:
            plane.process.wait()
            plane.process = None
        if plane.process is None:
            plane.start(_AGAIN_S)

    def _undurable(self) -> tuple[str, ...]:
        """What commands have done without an intent, by the record as it is after a restart."""
        made = {each.name for each in (self.plane.work / "made").iterdir()}
        run = self.plane.sights("sandbox.started")[-1]["sandbox"]
        asked = self.plane.ask(
            "audit",
            "query",
            "--json",
            "--limit",
            "5000",
            "--sandbox",
            run,
            "--action-kind",
            "shell.exec",
        )
        events = json.loads(asked.stdout)
        count = sum(
            1 for each in events if each["kind"] == "intent" and each["resource"] == "touch"
        )
        return () if count >= len(made) else (f"{len(made)} made, {count} on record",)

    def verified(self) -> bool:
        """Whether the record holds from its first event."""
        return self.plane.ask("audit", "verify").returncode == 0


@contextmanager
def world(seed: int) -> Iterator[World]:
    """A plane of an ordinary user."""
    with jail.place() as folder, socket.create_server(("127.0.0.1", 0)) as victim:
        text = config(*(_AGENT.format(name=f"a-{tier}", tier=tier) for tier in TIERS))
        plane = WholePlane(folder / "plane", text, "--workers", "2", user=ordinary())
        plane.start()
        try:
            yield World(plane, random.Random(seed), victim)  # noqa: S311 (moments to try, told)
        finally:
            plane.stop(signal.SIGKILL)


def _last(path: Path) -> float:
    """The time of the last line; 0 if there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0.0
    whole = [line for line in lines if line.count(" ") == 1]
    return float(whole[-1].split(" ")[0]) if whole else 0.0


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(each) for each in text.split()]


def _inside(folder: Path) -> list[int]:
    """The processes that stand in a folder, but for our own."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if str(each.readlink()).startswith(str(folder)):
                found.append(int(each.parent.name))
    return [each for each in found if each != os.getpid()]


def _empty(work: Path) -> None:
    subprocess.run(["rm", "-rf", *map(str, work.iterdir())], check=True)  # noqa: S603, S607 (ours)


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main() -> int:
    """Try for some time; the exit code tells whether everything held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    ends = time.monotonic() + options.seconds
    broken: list[tuple[Round, list[str]]] = []
    with world(options.seed) as tried:
        chance = tried.chance
        while time.monotonic() < ends:
            found = tried.round(
                chance.choice(TIERS),
                chance.choice(PARTS),
                chance.choice(WAYS),
                chance.uniform(0, 1.5),
            )
            wrong = found.broken()
            _say(" ".join([json.dumps(vars(found)), *wrong]))
            if wrong:
                broken.append((found, wrong))
        is_verified = tried.verified()
        counted = Counter(f"{each.way} {each.part}, {each.tier}" for each in tried.done)
        for name, count in sorted(counted.items()):
            _say(f"{count:4d} {name}")
    told = f"seed {options.seed}: {len(tried.done)} rounds, {len(broken)} broken"
    _say(f"{told}, record verifies: {is_verified}")
    return 1 if broken or not is_verified else 0


if __name__ == "__main__":
    sys.exit(main())
