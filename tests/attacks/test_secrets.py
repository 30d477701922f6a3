"""What the launching process knows never reaches the agent: three traps, and a search for canaries."""

import os
from pathlib import Path

from tests.sandbox import jail
from tests.sandbox.jail import Outcome

from ringfence.domain.agent import SandboxTier

_CANARY = "canary-7f3a9c51"

_SEARCH = """
import os, re
canary = b"canary-" + b"7f3a9c51"
def search(name, data):
    if canary in data:
        print("FOUND", name)
looked = 0
for pid in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
    for part in ("environ", "cmdline", "comm", "status", "maps", "mountinfo", "cgroup"):
        try:
            search(f"{part} of {pid}", open(f"/proc/{pid}/{part}", "rb").read())
            looked += 1
        except OSError:
            pass
    try:
        for line in open(f"/proc/{pid}/maps"):
            start, end = (int(each, 16) for each in line.split()[0].split("-"))
            if "r" in line.split()[1] and "[v" not in line and int(pid) != os.getpid():
                with open(f"/proc/{pid}/mem", "rb", 0) as memory:
                    memory.seek(start)
                    search(f"memory of {pid}", memory.read(end - start))
                    looked += 1
    except (OSError, OverflowError):
        pass
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with open(f"/proc/{pid}/fd/{fd}", "rb", 0) as file:
                if os.path.isfile(f"/proc/{pid}/fd/{fd}"):
                    search(f"descriptor {fd} of {pid}", file.read(1 << 20))
    except OSError:
        pass
for top, folders, files in os.walk("/"):
    folders[:] = [each for each in folders if f"{top}/{each}".replace("//", "/") not in ("/usr", "/proc", "/sys")]
    for each in files:
        try:
            if os.path.isfile(f"{top}/{each}"):
                search(f"{top}/{each}", open(f"{top}/{each}", "rb").read(1 << 20))
                looked += 1
        except OSError:
            pass
print("looked", looked)
"""


def test_no_canary_of_the_launcher_is_anywhere_in_the_sandbox(
    tier: SandboxTier, who: str, root: Path
) -> None:
    (root / "outside" / "secret").write_text(_CANARY)

    def do() -> Outcome:
        os.environ["MY_SECRET"] = _CANARY
        held = _CANARY.encode() * 100  # in the memory that the fork copies
        file = os.open(root / "outside" / "secret", os.O_RDONLY)
        os.dup2(file, 251)
        os.set_inheritable(251, True)
        found = jail.run_here(jail.plan_of(tier, root, [jail.PYTHON, "-c", _SEARCH]))
        assert held
        return found

    found = jail.as_user(who, do)
    assert "FOUND" not in found.out, found.out
    assert int(found.out.split()[-1]) > 50, found


def test_no_descriptor_is_inherited(tier: SandboxTier, who: str, root: Path) -> None:
    program = """
import os
for fd in os.listdir("/proc/self/fd"):
    try:
        print(fd, os.readlink(f"/proc/self/fd/{fd}"))
    except OSError:
        pass
"""

    def do() -> Outcome:
        for number in (10, 77, 251, 900):
            os.dup2(0, number)
            os.set_inheritable(number, True)
        return jail.run_here(jail.plan_of(tier, root, [jail.PYTHON, "-c", program]))

    found = jail.as_user(who, do)
    assert [line.split()[0] for line in found.out.splitlines()] == ["0", "1", "2"], found


def test_the_first_process_knows_and_may_do_no_more_than_the_agent(
    strict_tier: SandboxTier, who: str, root: Path
) -> None:
    program = """
import os, re
status = open("/proc/1/status").read()
print(re.search(r"Seccomp_filters:\\s*(\\d+)", status)[1])
print(re.search(r"NoNewPrivs:\\s*(\\d+)", status)[1])
print(re.search(r"CapPrm:\\s*(\\w+)", status)[1].strip("0") or "none")
print(sorted(open("/proc/1/environ").read().split("\\0")))
print([os.readlink(f"/proc/1/fd/{each}") for each in os.listdir("/proc/1/fd")])
"""
    plan = jail.plan_of(
        strict_tier, root, [jail.PYTHON, "-c", program], environment={"OWN": "known anyway"}
    )
    found = jail.run(plan, who=who, root=root)
    filters, privileges, capabilities, environment, descriptors = found.out.splitlines()
    assert int(filters) >= 2, found
    assert privileges == "1"
    assert capabilities == "none"
    assert environment == "['', 'LC_ALL=C']"
    assert not any(each in descriptors for each in ("socket", "memfd:sandbox", "seccomp")), (
        descriptors
    )


def test_command_lines_of_the_strict_tier_show_nothing_but_the_command(
    strict_tier: SandboxTier, root: Path
) -> None:
    script = "tr '\\0' ' ' < /proc/1/cmdline"
    plan = jail.plan_of(
        strict_tier, root, ["sh", "-c", script], environment={"TOKEN": "not to be seen by others"}
    )
    found = jail.run(plan, root=root)
    words = found.out.split()
    assert words[0] == "bwrap"
    assert words[1] == "--args"
    assert "TOKEN" not in found.out
    assert str(root) not in found.out


def test_the_reduced_tier_shows_command_lines_and_names_of_others(
    reduced_tier: SandboxTier, root: Path
) -> None:
    """What docs/sandbox.md says it does not stop; secrets therefore never stand in arguments."""
    own = Path("/proc/self/cmdline").read_bytes()
    program = f"print(open('/proc/{os.getpid()}/cmdline', 'rb').read() == {own!r})"
    found = jail.run(jail.plan_of(reduced_tier, root, [jail.PYTHON, "-c", program]), root=root)
    assert found.out == "True\n"
