from pathlib import Path

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
