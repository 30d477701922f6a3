import os
import re
import signal
import subprocess
import time
from pathlib import Path

from tests.cli.installation import call, finish, start
from tests.sandbox.conftest import need

from ringfence.domain.agent import SandboxTier

FREE = ("--port", "0", "--console-port", "0")


def children(pid: int, count: int) -> list[int]:
    """Processes that this one has started; the kernel's list may miss some while others end."""
    until = time.monotonic() + 60
    while True:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        if len(listed) == count or time.monotonic() > until:
            return [int(each) for each in listed]
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    text = ""
    assert process.stdout is not None
    while wanted not in text:
        line = process.stdout.readline()
        assert line, text
        text += line
    return text


def test_the_demo_shows_agents_and_one_that_is_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    result = finish(start("demo", "--exit", "--data", str(folder), *FREE, cwd=tmp_path))
    assert (result.code, result.err) == (0, "")
    assert re.search(r"support +4 steps, \$0\.000\d+\n +answered both questions", result.out)
    assert re.search(r"research +\d steps, 1 refused, \$0\.00\d+\n +wrote \d of 6", result.out)
    assert "Ringfence stopped this call" in result.out
    assert (folder.stat().st_mode & 0o777) == 0o700
    where = ("--data", str(folder), "--config", str(folder / "ringfence.yaml"))
    listed = call("trace", "list", "--json", *where).json()
    assert {each["agent_name"] for each in listed} >= {"support", "research"}
    shown = call("trace", "show", "--last", "--agent", "research", *where).out
    assert "REFUSED budget_exhausted" in shown
    assert "(budget)" in shown
    assert call("check", *where).code == 0
    document = call("trace", "show", "--last", "--agent", "support", "--json", *where).json()
    assert [len(each["reading"]["context"]) for each in document["steps"]] == [1, 3, 5, 7]


def test_the_demo_runs_an_agent_in_a_sandbox(tmp_path: Path) -> None:
    need(SandboxTier.STRICT)
    folder = tmp_path / "demo"
    result = finish(start("demo", "--exit", "--data", str(folder), *FREE, cwd=tmp_path))
    assert re.search(r"coder +\d+ steps, \d refused, \$0\.00\d+\n +counted 3 orders", result.out)
    assert (tmp_path / "demo-work" / "report.txt").read_text().strip() == "3"
    shown = call("trace", "show", "--last", "--agent", "coder", "--data", str(folder)).out
    told = ("sandbox.started", "ls -l", "wc -l", "CONNECT paste.example:443", "env  REFUSED")
    places = [shown.find(each) for each in (*told, "+ report.txt", "sandbox.ended")]
    assert -1 not in places
    assert places == sorted(places), "a story, in order"


def test_the_demo_says_what_it_cannot_show(tmp_path: Path) -> None:
    (tmp_path / "demo-work").symlink_to(tmp_path)
    result = finish(start("demo", "--exit", "--data", "demo", *FREE, cwd=tmp_path))
    assert (result.code, result.err) == (0, "")
    assert "note  coder     not run" in result.out
    assert "goes through a symbolic link" in " ".join(result.out.split())
    assert "ringfence doctor" in result.out


def test_the_demo_serves_until_it_is_interrupted_and_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = start("demo", "--data", str(folder), *FREE, cwd=tmp_path)
    text = read_until(process, "Serving until")
    started = children(process.pid, 2)
    assert len(started) == 2
    token = re.search(r"rf_agt_\S+", text)
    assert token is not None
    assert call("agent", "list", "--json", "--data", str(folder)).code == 0
    twice = call("demo", "--data", str(folder), *FREE)
    assert twice.code == 2
    assert "a plane is running" in twice.err
    result = finish(process, signal.SIGINT)
    assert (result.code, result.err) == (0, "")
    assert not any(map(is_running, started))
    for log in folder.glob("*.log"):
        assert token[0] not in log.read_text(encoding="utf-8")
