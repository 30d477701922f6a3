import errno
import os
from pathlib import Path

from tests.sandbox import jail
from tests.transport.kernel.child import needs_linux

from ringfence.domain.agent import SandboxTier

pytestmark = needs_linux


def test_every_exec_is_asked_with_all_that_it_is(tier: SandboxTier, who: str, root: Path) -> None:
    script = "cd /usr; env -i PATH=/bin sleep 0; exec -a lies true one 'two three'"
    found = jail.run(jail.plan_of(tier, root, ["bash", "-c", script]), who=who, root=root)
    assert found.exit_code == 0, found
    shell, env, sleep, true = found.execs
    assert shell["argv"] == ["bash", "-c", script]
    assert shell["resolved"] == "/usr/bin/bash"
    assert shell["directory"] == str(root / "workspace")
    assert (env["argv"], env["directory"]) == (["env", "-i", "PATH=/bin", "sleep", "0"], "/usr")
    assert sleep["resolved"] == "/usr/bin/sleep"
    assert sleep["exe"] == "/usr/bin/env"
    assert sleep["parent"] == env["parent"] == shell["pid"]
    assert sleep["pid"] == env["pid"] != shell["pid"]
    assert true["argv"] == ["lies", "one", "two three"]
    assert true["resolved"] == "/usr/bin/true"
    assert true["pid"] == shell["pid"]


def test_what_forks_of_a_shell_begin_comes_from_the_shell(tier: SandboxTier, root: Path) -> None:
    script = "( (sleep 0; :) | (cat; :) ); :"
    found = jail.run(jail.plan_of(tier, root, ["bash", "-c", script]), root=root)
    assert found.exit_code == 0, found
    shell, *others = found.execs
    assert sorted(each["argv"][0] for each in others) == ["cat", "sleep"]
    assert {each["parent"] for each in others} == {shell["pid"]}


def test_the_end_of_each_process_is_told(tier: SandboxTier, root: Path) -> None:
    script = "sh -c 'exit 3'; sh -c 'kill -9 $$'; exit 4"
    found = jail.run(jail.plan_of(tier, root, ["sh", "-c", script]), root=root)
    pids = [each["pid"] for each in found.execs]
    ends = {each["pid"]: (each["exit_code"], each["signal"]) for each in found.exits}
    assert ends.keys() == set(pids)
    if any(end != (None, None) for end in ends.values()):  # Linux 6.15 and later tell how
        assert ends[pids[1]] == (3, None)
        assert ends[pids[2]] == (None, 9)


def test_a_burst_is_asked_about_whole_and_every_end_is_told(tier: SandboxTier, root: Path) -> None:
    script = "i=0; while [ $i -lt 100 ]; do /usr/bin/true & i=$((i+1)); done; wait"
    found = jail.run(jail.plan_of(tier, root, ["sh", "-c", script]), root=root)
    assert found.exit_code == 0, found
    pids = [each["pid"] for each in found.execs if each["resolved"] == "/usr/bin/true"]
    assert len(pids) == len(set(pids)) == 100
    ends = {each["pid"]: each["exit_code"] for each in found.exits}
    assert {ends[pid] for pid in pids} <= {0, None}


def test_a_refused_exec_fails_and_the_rest_goes_on(tier: SandboxTier, root: Path) -> None:
    script = "/usr/bin/id; echo $?; echo on"
    found = jail.run(jail.plan_of(tier, root, ["sh", "-c", script]), root=root, refuse=["id"])
    assert found.out == "126\non\n"
    assert found.exit_code == 0


def test_a_program_behind_a_link_is_known_by_what_it_is(tier: SandboxTier, root: Path) -> None:
    (root / "workspace" / "innocent").symlink_to("/usr/bin/id")
    script = "./innocent; echo $?"
    found = jail.run(jail.plan_of(tier, root, ["sh", "-c", script]), root=root, refuse=["id"])
    assert found.out == "126\n"
    assert found.execs[1]["path"] == "./innocent"
    assert found.execs[1]["resolved"] == "/usr/bin/id"


def test_a_program_given_as_an_open_file_is_known_by_its_file(
    tier: SandboxTier, root: Path
) -> None:
    program = "import os; f = os.open('/usr/bin/id', os.O_RDONLY); os.execve(f, ['x'], {})"
    plan = jail.plan_of(tier, root, [jail.PYTHON, "-c", program])
    found = jail.run(plan, root=root, refuse=["id"])
    assert found.exit_code == 1
    assert found.execs[1]["is_fd_exec"]
    assert found.execs[1]["resolved"] == "/usr/bin/id"


def test_a_program_that_starts_itself_anew_is_known_by_its_file(
    tier: SandboxTier, root: Path
) -> None:
    script = "exec -a itself /proc/self/exe -c :"
    found = jail.run(jail.plan_of(tier, root, ["bash", "-c", script]), root=root)
    assert found.exit_code == 0, found
    assert found.execs[1]["path"] == "/proc/self/exe"
    assert found.execs[1]["resolved"] == "/usr/bin/bash"


def test_a_program_made_in_memory_is_seen_to_be_one(tier: SandboxTier, root: Path) -> None:
    program = """
import os
f = os.memfd_create("made")
os.write(f, open("/usr/bin/true", "rb").read())
os.execve(f, ["made"], {})
"""
    found = jail.run(jail.plan_of(tier, root, [jail.PYTHON, "-c", program]), root=root)
    assert found.exit_code == 0
    assert found.execs[1]["is_fd_exec"]
    assert found.execs[1]["resolved"].startswith("/memfd:made")


def test_what_is_not_there_is_not_executed_and_not_asked(tier: SandboxTier, root: Path) -> None:
    program = f"""
import os
for path in ("/usr/bin/no-such", "{root}/workspace/missing/x", "/etc/hostname/x"):
    try:
        os.execv(path, ["x"])
    except OSError as error:
        print(error.errno)
"""
    found = jail.run(jail.plan_of(tier, root, [jail.PYTHON, "-c", program]), root=root)
    assert set(map(int, found.out.split())) <= {errno.ENOENT, errno.ENOTDIR}
    assert len(found.execs) == 1


def test_arguments_beyond_all_bounds_are_cut_and_marked(tier: SandboxTier, root: Path) -> None:
    program = "import os; os.execv('/usr/bin/true', ['true', *['x' * 30_000] * 5])"
    found = jail.run(jail.plan_of(tier, root, [jail.PYTHON, "-c", program]), root=root)
    assert found.exit_code == 0
    long = found.execs[1]
    assert long["is_cut"]
    assert 60_000 < sum(map(len, long["argv"])) <= 64 * 1024


def test_bytes_that_are_no_text_are_shown(tier: SandboxTier, root: Path) -> None:
    program = "import os; os.execv('/usr/bin/true', [b'true', b'\\xff\\n\\xc3\\xa4'])"
    found = jail.run(jail.plan_of(tier, root, [jail.PYTHON, "-c", program]), root=root)
    assert found.execs[1]["argv"] == ["true", "\\xff\nä"]


def test_a_thread_that_executes_is_known_as_its_process(tier: SandboxTier, root: Path) -> None:
    program = """
import os, threading
print(os.getpid(), flush=True)
threading.Thread(target=lambda: os.execv("/usr/bin/true", ["true"])).start()
threading.Event().wait(5)
"""
    found = jail.run(jail.plan_of(tier, root, [jail.PYTHON, "-c", program]), root=root)
    assert found.exit_code == 0, found
    assert found.execs[1]["pid"] == found.execs[0]["pid"]


def test_many_execs_at_once_are_all_seen(tier: SandboxTier, root: Path) -> None:
    script = "for i in $(seq 300); do /bin/true & done; wait"
    found = jail.run(jail.plan_of(tier, root, ["bash", "-c", script]), root=root)
    assert found.exit_code == 0
    assert len(found.execs) == 302
    assert len({each["pid"] for each in found.exits}) == 302
    assert os.getpid() not in {each["pid"] for each in found.execs}
