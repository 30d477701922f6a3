import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sandbox import jail

from ringfence.domain.agent import SandboxTier


def test_a_command_runs_and_its_exit_code_is_kept(
    strict_tier: SandboxTier, who: str, root: Path
) -> None:
    plan = jail.plan_of(strict_tier, root, ["sh", "-c", "id -u; pwd; echo made > file; exit 7"])
    found = jail.run(plan, who=who, root=root)
    assert found.exit_code == 7, found
    assert found.out.splitlines()[1] == str(root / "workspace")
    assert found.out.splitlines()[0] != "0"
    assert (root / "workspace" / "file").read_text() == "made\n"
    assert [each["argv"][0] for each in found.execs] == ["sh", "id"]


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_every_module_can_be_imported_where_nothing_can_be_confined(system: str) -> None:
    program = [sys.executable, "-m", "tests.sandbox.elsewhere", system]
    source = Path(__file__).parents[2]
    found = subprocess.run(  # noqa: S603 (our own program)
        program,
        cwd=source,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(source / "src"), str(source)])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == ""


_PROGRAMS = {
    "node": """node -e 'const c = require("child_process");
        c.spawn("echo", ["x"]).stdout.on("data", d => console.log("works", String(d).trim()));
        new (require("worker_threads").Worker)("", {eval: true}); require("os").userInfo()'""",
    "java": "java -version 2>&1 | grep -q version && echo works",
    "git": "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && echo works",
    "npm": "npm --version && npm init -y >/dev/null && echo works",
    "cc": "echo 'int main(void){return 0;}' > a.c && cc a.c -o a && ./a && echo works",
    "tar": "mkdir d && touch d/f && tar cf t d && tar xf t && cp -a d e && ls e/f && echo works",
    "curl": "curl --version > /dev/null && echo works",
    "perl": "perl -e 'print qq(works\\n)'",
    "python3": 'python3 -c \'import ssl, sqlite3, subprocess as s; s.check_call(["echo", "works"])\'',
}


@pytest.mark.parametrize("name", sorted(_PROGRAMS))
def test_programs_that_agents_use_work(tier: SandboxTier, root: Path, name: str) -> None:
    if not os.path.exists(f"/usr/bin/{name}"):  # noqa: PTH110 (text)
        pytest.skip(f"{name} is not on this machine")
    found = jail.run(jail.plan_of(tier, root, ["bash", "-c", _PROGRAMS[name]]), root=root)
    assert found.exit_code == 0, found
    assert "works" in found.out


def test_a_server_and_a_pool_work_in_strict(strict_tier: SandboxTier, root: Path) -> None:
    program = """
import multiprocessing, socket
with multiprocessing.Pool(2) as pool:
    print(pool.map(abs, [-1, -2]))
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
server.accept()[0].sendall(b"served")
print(client.recv(10))
"""
    found = jail.run(jail.plan_of(strict_tier, root, [jail.PYTHON, "-c", program]), root=root)
    assert found.out == "[1, 2]\nb'served'\n", found


@pytest.mark.parametrize("name", ["with space", "line\nend", "ümlaut", "back\\slash", "raw\udcff"])
def test_a_workspace_may_have_any_name(tier: SandboxTier, root: Path, name: str) -> None:
    (root / "workspace" / name).mkdir()
    script = "echo made > file; echo $KEY"
    plan = jail.plan_of(
        tier,
        root,
        ["sh", "-c", script],
        workspace=str(root / "workspace" / name),
        environment={"KEY": f"is {name}"},
    )
    found = jail.run(plan, root=root)
    assert found.exit_code == 0, found
    assert (root / "workspace" / name / "file").read_text() == "made\n"
