from dataclasses import replace
from pathlib import Path

import pytest
from tests.sandbox import jail

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UsageError
from ringfence.sandbox.command import check_command, find, on_host
from ringfence.sandbox.plan import Bind


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    for name in ("workspace", "tools"):
        (tmp_path / name).mkdir()
    jail.make_program(tmp_path / "tools" / "special", "#!/bin/sh\n")
    jail.make_program(tmp_path / "workspace" / "own", "#!/bin/sh\n")
    (tmp_path / "workspace" / "plain").write_text("no program")
    return tmp_path


def test_a_command_is_looked_for_where_the_agent_would_find_it(tools: Path) -> None:
    plan = jail.plan_of(SandboxTier.STRICT, tools, ["sh"])
    assert find(plan) == "/usr/bin/sh"
    assert find(replace(plan, command=("./own",))) == str(tools / "workspace" / "own")
    assert find(replace(plan, command=("./plain",))) is None
    assert find(replace(plan, command=("special",))) is None
    shown = replace(
        plan,
        command=("special",),
        read_only=(Bind(str(tools / "tools"), "/opt/tools"),),
        environment={"PATH": "/usr/bin:/opt/tools"},
    )
    assert find(shown) == "/opt/tools/special"
    assert on_host(shown, "/opt/tools/special") == str(tools / "tools" / "special")


def test_a_command_that_is_not_there_is_refused_with_where_it_is(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = jail.plan_of(SandboxTier.STRICT, tools, ["special"])
    monkeypatch.setenv("PATH", str(tools / "tools"))
    with pytest.raises(UsageError) as caught:
        check_command(plan)
    assert caught.value.code == "no_command"
    assert str(tools / "tools" / "special") in caught.value.help


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./plain", "`./plain` is not executable"),
        ("", "the command is empty"),
        (".", "there is no program `.` in the sandbox"),
        ("./", "`./` is a folder"),
        ("./missing", "there is no program `./missing` in the sandbox"),
        ("./odd", "`./odd` begins with `#!/no/such`, which is no program of the sandbox"),
    ],
)
def test_why_a_command_cannot_begin_is_said(tools: Path, name: str, message: str) -> None:
    jail.make_program(tools / "workspace" / "odd", "#!/no/such -x\n")
    plan = jail.plan_of(SandboxTier.STRICT, tools, [name])
    with pytest.raises(UsageError) as caught:
        check_command(plan)
    assert (caught.value.code, caught.value.message) == ("no_command", message)
    assert caught.value.help
    check_command(replace(plan, command=("./own",)))


def test_where_it_was_looked_for_is_said(tools: Path) -> None:
    for name, help_ in (
        ("./missing", f"nothing is at `{tools / 'workspace' / 'missing'}`"),
        ("/opt/no/tool", "nothing is at `/opt/no/tool`"),
        ("no-such-tool", "it is looked for in the sandbox's PATH"),
    ):
        with pytest.raises(UsageError) as caught:
            check_command(jail.plan_of(SandboxTier.STRICT, tools, [name]))
        assert caught.value.help.startswith(help_)


def test_without_a_sandbox_every_path_is_the_hosts(tools: Path) -> None:
    path = str(tools / "tools" / "special")
    plan = jail.plan_of(SandboxTier.NONE, tools, [path])
    assert find(plan) == path
