"""Every program that a sandbox runs is decided and on the record, whoever hides it and however.

The programs do their system calls by themselves. A whole plane decides; its record is read back.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sandbox.conftest import need
from tests.sandbox.jail import PYTHON
from tests.sandbox.whole import AGENT, WholePlane, config

from ringfence.domain.agent import SandboxTier
from ringfence.transport.kernel.syscall import architecture

_NARROW = AGENT.replace('["*"]', "[sh, bash, ls, echo, python3, sleep, chmod, cp]")
_ANY = AGENT.rstrip() + "\n    limits: {{commands: unlimited}}\n"
_TIERS = ("strict", "reduced")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholePlane]:
    agents = [_NARROW.format(name=f"narrow-{tier}", tier=tier) for tier in _TIERS]
    agents += [_ANY.format(name=f"any-{tier}", tier=tier) for tier in _TIERS]
    made = WholePlane(tmp_path_factory.mktemp("plane").resolve(), config(*agents))
    made.start()
    yield made
    made.stop()


@pytest.fixture(params=_TIERS)
def tier(request: pytest.FixtureRequest) -> str:
    need(SandboxTier(request.param))
    return str(request.param)


def trace(plane: WholePlane) -> dict[str, Any]:
    """What the last run did."""
    shown = plane.ask("trace", "show", "--last", "--json")
    assert shown.returncode == 0, shown.stderr
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


def commands(plane: WholePlane) -> list[tuple[str, str]]:
    """The commands of the last run in order, and what became of each."""
    return [
        (step["resource"], "refused" if step["is_refused"] else f"exit {step['exit_code']}")
        for step in trace(plane)["steps"]
    ]


def findings(plane: WholePlane, name: str) -> list[dict[str, str]]:
    notes = trace(plane)["notes"]
    return [each["detail"] for each in notes if each["what"] == f"finding.{name}"]


def python(plane: WholePlane, agent: str, program: str) -> str:
    """What a program prints that is the operator's own choice, and does what it likes."""
    ran = plane.run(PYTHON, "-c", program, agent=agent)
    assert ran.code == 0, ran
    return ran.out


def test_commands_stand_in_the_trace_with_their_ends_and_who_began_them(
    plane: WholePlane, tier: str
) -> None:
    ran = plane.run("sh", "-c", "ls . >/dev/null; sh -c 'exit 3'; echo done", agent=f"any-{tier}")
    assert (ran.code, ran.out) == (0, "done\n")
    steps = trace(plane)["steps"]
    told = [(step["resource"], step["exit_code"]) for step in steps]
    assert told == [("sh", 0), ("ls", 0), ("sh", 3)]
    first, *others = steps
    assert first["decision"]["facts"] == {"chosen_by": "operator"}
    assert {step["within"] for step in others} == {first["action"]}


def test_what_is_not_declared_is_refused_and_says_why_on_standard_error(
    plane: WholePlane, tier: str
) -> None:
    ran = plane.run("sh", "-c", "cat /etc/hosts; echo $?", agent=f"narrow-{tier}")
    assert ran.out == "126\n"
    assert "has no command `cat`" in ran.err
    assert commands(plane) == [("sh", "exit 0"), ("cat", "refused")]


_HIDDEN = """\
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, do):
    pid = os.fork()
    if not pid:
        try:
            do()
        except OSError as error:
            os._exit(100 + error.errno)
        os._exit(99)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(name, code)
def in_memory():
    copy = os.memfd_create("git")
    os.write(copy, open("/usr/bin/cat", "rb").read())
    os.execve(copy, ["ls", "--version"], {})
def at_descriptor():
    folder = os.open("/usr/bin", os.O_PATH)
    words = (ctypes.c_char_p * 3)(b"ls", b"--version", None)
    if libc.syscall(EXECVEAT, folder, b"cat", words, None, 0) < 0:
        raise OSError(ctypes.get_errno(), "execveat")
def copied():
    open("ls", "wb").write(open("/usr/bin/cat", "rb").read())
    os.chmod("ls", 0o755)
    os.execve("./ls", ["ls", "--version"], {})
def linked():
    if not os.path.lexists("echo"):
        os.symlink("/usr/bin/cat", "echo")
    os.execve("./echo", ["echo", "--version"], {})
def by_loader():
    os.execve(LOADER, ["ls", "/usr/bin/cat", "--version"], {})
def through_proc():
    os.execve("/proc/self/root/usr/bin/cat", ["ls", "--version"], {})
def in_relative():
    os.chdir("/usr/bin")
    os.execve("cat", ["ls", "--version"], {})
def by_shebang():
    open("run.sh", "w").write("#!/usr/bin/cat\\n")
    os.chmod("run.sh", 0o755)
    os.execve("./run.sh", ["ls"], {})
for each in (in_memory, at_descriptor, copied, linked, by_loader, through_proc, in_relative, by_shebang):
    attempt(each.__name__, each)
"""
_EACCES = 113


def test_no_other_way_to_name_a_program_gets_around_its_name(plane: WholePlane, tier: str) -> None:
    loader = next(str(each) for each in Path("/lib64").glob("ld-linux*"))
    number = architecture().numbers["execveat"]
    program = f"EXECVEAT = {number}\nLOADER = {loader!r}\n{_HIDDEN}"
    out = python(plane, f"narrow-{tier}", program)
    became = dict(line.split() for line in out.splitlines())
    assert became.keys() == {
        "in_memory", "at_descriptor", "copied", "linked", "by_loader", "through_proc",
        "in_relative", "by_shebang",
    }  # fmt: skip
    assert set(became.values()) == {str(_EACCES)}, became
    refused = [step for step in trace(plane)["steps"] if step["is_refused"]]
    assert sum(1 + step["repeats"] for step in refused) == len(became), refused
    assert not {"ls", "echo", "git"} & {step["resource"] for step in refused}


_RACE = """\
import ctypes, os, threading, time
libc = ctypes.CDLL(None)
def race():
    path = ctypes.create_string_buffer(b"/usr/bin/sleep\\0", 32)
    word = ctypes.create_string_buffer(b"0.0\\0", 32)
    words = (ctypes.c_void_p * 3)(ctypes.addressof(path), ctypes.addressof(word), None)
    def flip():
        while True:
            ctypes.memmove(word, b"0.4\\0", 4)
            time.sleep(0.0004)
            ctypes.memmove(word, b"0.3\\0", 4)
            time.sleep(0.0004)
    threading.Thread(target=flip, daemon=True).start()
    time.sleep(0.002)
    libc.execve(path, words, None)
    os._exit(1)
for _ in range(5):
    running = []
    for _ in range(8):
        pid = os.fork()
        if not pid:
            race()
        running.append(pid)
    for pid in running:
        os.waitpid(pid, 0)
"""


def test_arguments_that_are_exchanged_meanwhile_are_found(plane: WholePlane) -> None:
    python(plane, "narrow-strict", _RACE)
    found = findings(plane, "command_exchanged")
    assert found, "of forty races none was lost by the attacker"
    assert all(each["command"] == "sleep" and each["ended"] == "false" for each in found)
    assert {each["line"] for each in found} <= {
        "/usr/bin/sleep 0.3", "/usr/bin/sleep 0.4", "/usr/bin/sleep 0.0"
    }  # fmt: skip


_SHAPE = """\
import ctypes, os, threading, time
libc = ctypes.CDLL(None)
def words(*each):
    held = [ctypes.create_string_buffer(word) for word in each]
    return held, (ctypes.c_void_p * 5)(*(ctypes.addressof(word) for word in held))
def race():
    os.dup2(os.open("/dev/null", os.O_RDWR), 1)
    os.dup2(1, 2)
    told, told_words = words(b"sleep", b"0.2")
    run, run_words = words(b"tail", b"-f", b"/usr/bin/sleep", b"0.2")
    path = ctypes.create_string_buffer(b"/usr/bin/sleep", 32)
    given = (ctypes.c_void_p * 5)(*told_words)
    def flip():
        while True:
            ctypes.memmove(path, b"/usr/bin/tail\\0", 15)
            ctypes.memmove(given, run_words, 40)
            time.sleep(0.0004)
            ctypes.memmove(path, b"/usr/bin/sleep", 15)
            ctypes.memmove(given, told_words, 40)
            time.sleep(0.0004)
    threading.Thread(target=flip, daemon=True).start()
    time.sleep(0.002)
    libc.execve(path, given, None)
    os._exit(1)
for _ in range(5):
    running = []
    for _ in range(8):
        pid = os.fork()
        if not pid:
            race()
        running.append(pid)
    for pid in running:
        os.waitpid(pid, 0)  # what may not run is ended, and would go on for ever
"""


def test_what_is_exchanged_in_the_shape_of_a_script_is_found_and_ended(plane: WholePlane) -> None:
    """`tail -f /usr/bin/sleep …` looks like an interpreter that was given `/usr/bin/sleep`."""
    python(plane, "narrow-strict", _SHAPE)
    found = findings(plane, "command_exchanged")
    assert {each["runs"] for each in found} <= {"/usr/bin/tail", "/usr/bin/sleep"}
    assert all(each["ended"] == "true" for each in found if each["runs"] == "/usr/bin/tail")


def test_a_burst_of_commands_loses_none(plane: WholePlane) -> None:
    script = "i=0; while [ $i -lt 300 ]; do /bin/true & i=$((i+1)); done; wait"
    ran = plane.run("sh", "-c", script, agent="any-strict")
    assert ran.code == 0, ran
    ends = commands(plane)
    assert ends.count(("true", "exit 0")) == 300
    assert len(ends) == 301


def test_what_would_run_later_on_the_host_is_set_aside_and_told(
    plane: WholePlane, tier: str
) -> None:
    script = "mkdir -p x/.claude && echo '{}' > x/.claude/settings.json && echo evil > .envrc"
    ran = plane.run("sh", "-c", script, agent=f"any-{tier}")
    found = {each["path"]: each["moved_to"] for each in findings(plane, "late_code")}
    if tier == "strict":
        assert found.keys() == {"x/.claude/settings.json"} or ".envrc" in found
    assert "x/.claude/settings.json" in found, ran
    for path, moved in found.items():
        assert not (plane.work / path).exists()
        assert (plane.work / moved).exists()
        assert f"the run left {path}" in ran.err
