import http.client
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.installation import call
from tests.sandbox.conftest import need
from tests.sandbox.whole import (
    AGENT,
    ORDINARY,
    WholePlane,
    config,
    first_line,
    gone,
    ordinary,
    processes,
)

from ringfence.cli.run import _check_own, _granted
from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UsageError
from ringfence.domain.sandbox import SandboxGrant
from ringfence.sandbox import control_group
from ringfence.sandbox.plan import SandboxLimits

BARE = """\
  bare:
    owner: owner@acme.example
    purpose: Reach nothing.
    commands: ["*"]
"""
SMALL = """\
  small:
    owner: owner@acme.example
    purpose: Have little.
    models: [small]
    commands: ["*"]
    sandbox: {memory_megabytes: 100, cgroup: required}
"""
TIERS = {"a": SandboxTier.STRICT, "light": SandboxTier.REDUCED, "open": SandboxTier.NONE}
AGENTS = [AGENT.format(name=name, tier=tier.value) for name, tier in TIERS.items()]


NEEDLESS = (
    "cedarpy",
    "cryptography",
    "email",
    "http.client",
    "ringfence.app",
    "ringfence.decisions",
    "ringfence.domain.organisation",
    "ringfence.enforcement",
    "ringfence.gateways",
    "ringfence.stores",
    "sqlite3",
    "starlette",
    "uvloop",
    "yaml",
)
"""What the plane needs and a run does not: half of the time that a person would wait for it."""


def test_the_plane_of_another_user_runs_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.sock").touch()
    socket = str(tmp_path / "run.sock")
    grant = SandboxGrant(
        id="sbx_1",
        ticket="",
        socket=socket,
        invocation="inv_1",
        token="",
        tier=SandboxTier.NONE,
    )
    _check_own(grant)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(UsageError) as caught:
        _check_own(grant)
    assert caught.value.code == "plane_of_another"
    assert caught.value.message == f"this plane is run by user {mine}, and you are user {mine + 1}"


def test_a_run_loads_nothing_of_the_plane() -> None:
    asked = "import sys, ringfence.cli.run; print([n for n in sys.argv[1:] if n in sys.modules])"
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", asked, *NEEDLESS], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholePlane]:
    """One plane for all that does not end it."""
    made = WholePlane(tmp_path_factory.mktemp("plane").resolve(), config(*AGENTS, BARE, SMALL))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[WholePlane]:
    """A plane of the test's own, to be ended."""
    need(SandboxTier.STRICT)
    made = WholePlane(tmp_path.resolve(), config(*AGENTS))
    made.start()
    yield made
    made.stop(signal.SIGKILL)


@pytest.fixture(params=sorted(TIERS))
def agent(request: pytest.FixtureRequest) -> str:
    """An agent of each tier."""
    name = str(request.param)
    need(TIERS[name])
    return name


@pytest.fixture
def strict() -> None:
    need(SandboxTier.STRICT)


def test_output_input_and_exit_code_pass_through(plane: WholePlane, agent: str) -> None:
    words = ("run", "--agent", agent, "--", "sh", "-c", "cat; echo seen >&2; exit 7")
    done = plane.ask(*words, input="typed\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "typed\n", "seen\n")


def test_closed_input_is_empty_input(plane: WholePlane, agent: str) -> None:
    words = [sys.executable, "-m", "ringfence", "run", "--agent", agent, "--", "sh", "-c"]
    shell = ["sh", "-c", 'exec "$@" <&-', "sh", *words, "cat; echo read"]
    done = subprocess.run(  # noqa: S603 (our own program)
        shell, check=False, capture_output=True, text=True, env=plane.environment, cwd=plane.work
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "read\n", "")


def test_options_of_the_command_are_its_own(plane: WholePlane, agent: str) -> None:
    ran = plane.run("printf", "%s %s", "--agent", "--sandbox", agent=agent)
    assert ran.out == "--agent --sandbox", ran


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--agnet", "a", "--", "true"), "unknown option `--agnet`\n  did you mean `--agent`?\n"),
        (("--agent", "a", "-c", "true"), "unknown option `-c`\n  usage: ringfence run"),
        (
            ("--agent", "a", "--workspcae=/x", "true"),
            "unknown option `--workspcae`\n  did you mean",
        ),
        (("--agent", "a", "--"), "missing argument `-- COMMAND…`"),
    ],
)
def test_a_misspelt_option_is_no_command(words: tuple[str, ...], said: str) -> None:
    result = call("run", *words)
    assert result.code == 2
    assert said in result.err


def test_the_gateway_answers_inside_and_only_to_the_sandboxs_own_token(
    plane: WholePlane, agent: str
) -> None:
    token = plane.ask("agent", "token", agent).stdout.strip()
    script = (
        'for t in "$RINGFENCE_TOKEN" "$1"; do '
        'curl -s -o /dev/null -w "%{http_code}\\n" -H "authorization: Bearer $t" '
        "$RINGFENCE_URL/v1/models; done"
    )
    ran = plane.run("sh", "-c", script, "sh", token, agent=agent)
    assert ran.out.split() == ["200", "401"], ran


def test_its_token_is_worth_nothing_outside_and_after_it(plane: WholePlane, strict: None) -> None:
    del strict
    ran = plane.run("sh", "-c", "echo $RINGFENCE_TOKEN; cat /proc/self/status | wc -l")
    token = ran.out.split()[0]
    ready = plane.log.read_text().partition('"data_port": ')[2]
    port = int(ready.partition(",")[0])
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as outside:
        outside.request("GET", "/v1/models", headers={"authorization": f"Bearer {token}"})
        assert outside.getresponse().status == 401


def test_the_record_has_its_start_its_commands_and_its_end_in_one_invocation(
    plane: WholePlane, strict: None
) -> None:
    del strict
    ran = plane.run("sh", "-c", "/bin/true; echo $RINGFENCE_INVOCATION")
    invocation = ran.out.strip()
    events = [each for each in plane.events() if each.get("invocation") == invocation]
    what = [each.get("what") or each.get("resource") for each in events]
    assert what[0] == "invocation.opened"
    assert what.index("sandbox.started") < what.index("true") < what.index("sandbox.ended")
    started = events[what.index("sandbox.started")]["detail"]
    assert started["tier"] == "strict"
    assert f"rw {plane.work}" in started["binds"]
    assert len(started["plan"]) == 64
    assert what[-1] == "invocation.finished"
    listed = json.loads(plane.ask("trace", "list", "--json").stdout)
    [line] = [each for each in listed if each["id"] == invocation]
    sandbox = events[what.index("sandbox.started")]["sandbox"]
    assert (line["sandbox"], line["sandbox_tier"]) == (sandbox, "strict")
    assert "SANDBOX" in plane.ask("trace", "list").stdout.splitlines()[0]


def _lacks_groups() -> bool:
    """Whether no control group bounds what is run here."""
    with control_group.made(SandboxLimits()) as made:
        return bool(made.lacking)


def test_a_bound_that_is_reached_is_told_at_the_end_and_recorded(
    plane: WholePlane, strict: None
) -> None:
    del strict
    if _lacks_groups():
        pytest.skip("no control groups here")
    hog = "held = [b'x' * (1 << 20) for _ in range(400)]"
    ran = plane.run("sh", "-c", f'/usr/bin/python3 -c "{hog}"; exit 5', agent="small")
    assert ran.code == 5, ran
    told = "it reached its memory limit, and the kernel ended 1 process of it"
    assert f"ringfence: {told}\n" in ran.err
    (started,) = [each for each in plane.sights("sandbox.started") if "held" in each["subject"]]
    assert "100 MiB of memory: cgroup" in started["detail"]["bounds"]
    invocation = started["invocation"]
    ended = [each for each in plane.sights("sandbox.ended") if each["invocation"] == invocation]
    assert ended[0]["detail"]["killed_for_memory"] == "1"


def test_what_a_shell_does_by_itself_is_evidence_where_it_is_asked_for(
    plane: WholePlane, agent: str
) -> None:
    script = "cd /; echo $RINGFENCE_INVOCATION"
    asked = 0 if TIERS[agent] is SandboxTier.NONE else 1
    for options, count in (((), 0), (("--builtins",), asked)):
        ran = plane.run("bash", "-c", script, agent=agent, options=options)
        assert ran.code == 0, ran
        seen = [
            each
            for each in plane.events()
            if each.get("invocation") == ran.out.strip() and each.get("what") == "evidence.builtins"
        ]
        assert len(seen) == count, seen


def test_a_known_agents_files_are_there_in_every_tier_and_gone_after_it(
    plane: WholePlane, agent: str
) -> None:
    tool = plane.folder / "known" / "codex"
    if not tool.exists():
        tool.parent.mkdir()
        tool.write_text("#!/bin/sh\necho $CODEX_HOME; cat $CODEX_HOME/config.toml\n")
        tool.chmod(0o755)
    ran = plane.run(str(tool), agent=agent)
    assert 'model_provider = "ringfence"' in ran.out, ran
    assert not Path(ran.out.split()[0]).exists()


def test_two_at_once_share_nothing(plane: WholePlane, strict: None) -> None:
    del strict
    script = "echo $RINGFENCE_SANDBOX $RINGFENCE_TOKEN; touch /tmp/mine; read x; ls /tmp; ps ax"
    with plane.running("sh", "-c", script) as one, plane.running("sh", "-c", script) as other:
        mine, theirs = first_line(one).split(), first_line(other).split()
    assert mine[0] != theirs[0]
    assert mine[1] != theirs[1]
    ran = plane.run("sh", "-c", "ls /tmp; ls -d /proc/[0-9]* | wc -l")
    assert "mine" not in ran.out
    assert int(ran.out.split()[-1]) < 6, ran  # of its own processes it sees these


def on_mac(plane: WholePlane, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command without what Python has on Linux alone; no such machine is here."""
    variables = {**plane.environment}
    variables["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[2])
    return subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-m", "tests.cli.other_system", "darwin", *words],
        cwd=plane.work,
        env=variables,
        input="typed",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_a_sandbox_a_run_needs_nothing_that_only_linux_has(plane: WholePlane) -> None:
    script = "echo $RINGFENCE_INVOCATION; cat; exit 3"
    ran = on_mac(plane, "run", "--agent", "open", "--", "sh", "-c", script)
    assert ran.returncode == 3, ran.stderr
    invocation, typed = ran.stdout.split("\n")
    assert typed == "typed"
    [ended] = [each for each in plane.sights("sandbox.ended") if each["invocation"] == invocation]
    assert ended["detail"]["exit_code"] == "3"


def test_where_nothing_can_confine_a_run_that_must_be_says_what_works(plane: WholePlane) -> None:
    ran = on_mac(plane, "run", "--agent", "a", "--", "true")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("ringfence: agents cannot be confined on ")
    assert "`--sandbox none` work here" in ran.stderr


WRONG = [
    (("--agent", "nobody"), "no agent"),
    (("--agent", "a", "--sandbox", "none"), "its least is `strict`"),
    (("--agent", "bare"), "an empty list allows nothing"),
    (("--agent", "a", "--workspace", "/etc"), "cannot be a workspace"),
    (("--agent", "a", "--workspace", "{link}"), "symbolic link"),
    (("--agent", "a", "--workspace", "{missing}"), "cannot be opened"),
    (("--agent", "a", "--workspace", "{data}"), "belongs to the plane"),
    (("--agent", "a", "--sandbox", "loose"), "`loose` is not one of"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_use_gets_an_exact_error_and_nothing_starts(
    plane: WholePlane, strict: None, options: tuple[str, ...], message: str
) -> None:
    del strict
    link = plane.folder / "link"
    if not link.is_symlink():
        link.symlink_to("/etc")
    places = {"link": str(link), "missing": str(plane.folder / "no"), "data": str(plane.data)}
    words = [each.format(**places) for each in options]
    mark = plane.work / "ran"
    done = plane.ask("run", *words, "--", "touch", str(mark))
    assert done.returncode == 2, done
    assert message in done.stderr.replace("'", "`"), done.stderr
    assert "Traceback" not in done.stderr
    assert not mark.exists()


def test_a_command_that_is_not_there_gets_an_exact_error(plane: WholePlane, strict: None) -> None:
    del strict
    ran = plane.run("no-such-program")
    assert ran.code == 2
    assert "there is no program `no-such-program`" in ran.err


def test_a_suspended_agent_is_not_started(own: WholePlane) -> None:
    own.ask("agent", "suspend", "a")
    ran = own.run("true")
    assert ran.code == 2
    assert "agent `a` is suspended" in ran.err


def test_without_a_plane_nothing_starts(tmp_path: Path) -> None:
    plane = WholePlane(tmp_path.resolve(), config(*AGENTS))
    ran = plane.run("touch", str(plane.work / "ran"))
    assert ran.code == 3
    assert "no plane is running" in ran.err
    assert not (plane.work / "ran").exists()


def test_without_a_command_its_use_is_shown(plane: WholePlane) -> None:
    done = plane.ask("run", "--agent", "a")
    assert done.returncode == 2
    assert "missing argument" in done.stderr


def test_a_program_that_lies_apart_is_shown_with_what_it_came_with(
    plane: WholePlane, strict: None
) -> None:
    del strict
    place = plane.folder / "apart" / "node_modules" / "pkg"
    if not place.exists():
        place.mkdir(parents=True)
        (place / "tool").write_text("#!/bin/sh\ncat $(dirname $0)/beside; ls ..\n")
        (place / "tool").chmod(0o755)
        (place / "beside").write_text("beside\n")
        (plane.folder / "apart" / "secret").write_text("canary")
    ran = plane.run(str(place / "tool"))
    assert ran.out.startswith("beside"), ran
    shown = plane.run("sh", "-c", f"{place}/tool; cat {plane.folder}/apart/secret")
    assert "canary" not in shown.out


def test_ctrl_c_reaches_the_command_which_may_end_in_its_own_way(own: WholePlane) -> None:
    script = "trap 'echo caught; exit 9' INT; echo ready; sleep 60.125 & wait"
    with own.running("sh", "-c", script) as process:
        assert first_line(process) == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 9
    assert gone("60.125")


def test_a_terminal_that_is_closed_ends_it(own: WholePlane) -> None:
    with own.running("sh", "-c", "echo ready; sleep 60.25") as process:
        assert first_line(process) == "ready\n"
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) > 128
    assert gone("60.25")
    assert [each["subject"] for each in own.sights("sandbox.ended")] == ["exited"]


@pytest.mark.parametrize("name", ["a", "light", "open"])
def test_a_killed_monitor_takes_the_agent_with_it(own: WholePlane, name: str) -> None:
    need(TIERS[name])
    with own.running("sh", "-c", "echo ready; sleep 61.5", agent=name) as process:
        assert first_line(process) == "ready\n"
        (sleeping,) = processes("61.5")
        process.kill()
        if name == "open" or (name == "light" and _lacks_groups()):
            os.kill(
                sleeping, signal.SIGKILL
            )  # it lives on, and where it is confined reaches nothing
        assert gone("61.5")
    ends = time.monotonic() + 60
    while not own.sights("sandbox.ended"):
        assert time.monotonic() < ends
        time.sleep(0.1)
    assert [each["subject"] for each in own.sights("sandbox.ended")] == ["monitor_lost"]


def test_a_killed_plane_takes_the_agent_with_it_and_the_record_says_so_later(
    own: WholePlane,
) -> None:
    with own.running("sh", "-c", "echo ready; sleep 62.5") as process:
        assert first_line(process) == "ready\n"
        own.stop(signal.SIGKILL)
        assert process.wait(60) == 3
        assert gone("62.5")
    own.start()
    (end,) = own.sights("sandbox.ended")
    assert end["subject"] == "plane_stopped"
    stopped = [each for each in own.events() if each.get("what") == "invocation.stopped"]
    assert [each["subject"] for each in stopped] == [end["invocation"]]


def test_a_plane_that_stops_ends_it_in_order(own: WholePlane) -> None:
    script = "trap 'exit 0' TERM; echo ready; sleep 63.5 & wait"
    with own.running("sh", "-c", script) as process:
        assert first_line(process) == "ready\n"
        own.stop()
        assert process.wait(60) == 3
    assert gone("63.5")


def test_a_suspended_agent_loses_its_sandbox(own: WholePlane) -> None:
    with own.running("sh", "-c", "echo ready; sleep 64.5") as process:
        assert first_line(process) == "ready\n"
        own.ask("agent", "suspend", "a")
        assert process.wait(60) == 125
        assert process.stderr is not None
        assert "suspended" in process.stderr.read()
    assert gone("64.5")
    assert [each["subject"] for each in own.sights("sandbox.ended")] == ["agent_not_active"]


def test_a_stopped_plane_allows_no_command(own: WholePlane) -> None:
    script = "echo ready; read x; /bin/true; echo rc=$?"
    assert own.process is not None
    process = subprocess.Popen(  # noqa: S603 (our own program)
        own.command("run", "--agent", "a", "--", "sh", "-c", script),
        env=own.environment,
        cwd=own.work,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    own.process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    began = time.monotonic()
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "rc=126\n"  # refused, when the plane was silent for long
    assert time.monotonic() - began > 5
    own.process.send_signal(signal.SIGCONT)
    process.communicate(timeout=60)


def test_at_a_terminal_it_has_a_terminal_of_its_own(own: WholePlane) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 (our own program)
        own.command("run", "--agent", "a", "--", "sh", "-c", "tty; stty size; read x; echo got $x"),
        env=own.environment,
        cwd=own.work,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    try:
        while b"\n" not in said.partition(b"/dev/")[2]:
            said += os.read(ours, 1024)
        os.write(ours, b"words\r")
        while b"got words" not in said:
            said += os.read(ours, 1024)
    finally:
        process.wait(60)
        os.close(ours)
    assert b"/dev/pts/" in said or b"/dev/console" in said
    assert process.returncode == 0
    assert own.sights("evidence.transcript")


def test_a_plane_of_another_version_is_named_as_the_reason() -> None:
    with pytest.raises(UsageError, match="another version") as caught:
        _granted(b'{"id": "sbx_1", "models": []}')
    assert caught.value.code == "link_version"


def test_with_several_workers_a_sandbox_ends_with_the_one_that_serves_it(tmp_path: Path) -> None:
    need(SandboxTier.STRICT)
    plane = WholePlane(tmp_path.resolve(), config(*AGENTS), "--workers", "2")
    plane.start()
    script = (
        'curl -s -o /dev/null -w "%{http_code}\\n" -H "authorization: Bearer $RINGFENCE_TOKEN" '
        "$RINGFENCE_URL/v1/models; sleep 65.5"
    )
    try:
        with plane.running("sh", "-c", script) as one, plane.running("sh", "-c", script) as other:
            assert [first_line(one), first_line(other)] == ["200\n", "200\n"]
            workers = json.loads(plane.ask("status", "--json").stdout)["workers"]
            os.kill(workers[0]["pid"], signal.SIGKILL)
            ends = time.monotonic() + 60
            while one.poll() is None and other.poll() is None:
                assert time.monotonic() < ends
                time.sleep(0.05)
            assert {one.poll(), other.poll()} == {3, None}
            while not plane.sights("sandbox.ended"):
                assert time.monotonic() < ends
                time.sleep(0.1)
        (end,) = plane.sights("sandbox.ended")[:1]
        assert end["subject"] == "plane_stopped"
    finally:
        plane.stop(signal.SIGKILL)
    assert gone("65.5")


def test_an_ordinary_user_runs_a_plane_and_agents(strict: None) -> None:
    del strict
    with tempfile.TemporaryDirectory(prefix="run-") as place:
        folder = Path(place).resolve()
        folder.chmod(0o755)
        plane = WholePlane(folder, config(*AGENTS), user=ordinary())
        plane.start()
        try:
            ran = plane.run("sh", "-c", "id -u; touch made; cat /etc/shadow; exit 5")
            assert ran.code == 5, ran
            assert "root:" not in ran.out
            assert (plane.work / "made").stat().st_uid == (os.geteuid() or ORDINARY)
        finally:
            plane.stop()
