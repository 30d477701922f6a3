from pathlib import Path

import pytest
from tests.sandbox import jail
from tests.transport.kernel.child import needs_linux

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UsageError
from ringfence.sandbox import unconfined

pytestmark = needs_linux


def test_a_command_runs_as_its_caller_with_no_inherited_environment(root: Path) -> None:
    script = "echo $0 $KEY $HOME; ls /proc/self/fd | wc -l; exit 3"
    plan = jail.plan_of(SandboxTier.NONE, root, ["sh", "-c", script], environment={"KEY": "value"})
    found = jail.run(plan, root=root)
    assert found.exit_code == 3, found
    assert found.out.split() == ["sh", "value", f"{root}/home", "4"]
    assert found.execs == []


def test_a_command_that_is_not_there_is_refused(tmp_path: Path) -> None:
    plan = jail.plan_of(SandboxTier.NONE, tmp_path.resolve(), ["no-such-program"])
    with pytest.raises(UsageError) as caught:
        unconfined.prepare(plan)
    assert caught.value.code == "no_command"
