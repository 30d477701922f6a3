"""The kernel's surface: calls that nobody but an attacker makes."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from tests.attacks.attempt import attack, done, results
from tests.sandbox import jail

from ringfence.domain.agent import SandboxTier

_BY_FILTER = {"EPERM", "ENOSYS", "EACCES"}


def test_no_call_that_breaks_out_reaches_the_kernel(
    tier: SandboxTier, who: str, root: Path
) -> None:
    found, _ = attack(tier, root, "kernel.py", who=who)
    killed = {name for name in found if name.startswith("x32")}
    assert all(found[name] == f"DONE killed {signal.SIGSYS}" for name in killed), found
    assert done(found) - killed == set()
    # Any other errno would tell that the kernel had looked at the arguments.
    reached = {name: said for name, said in found.items() if said not in _BY_FILTER}
    assert reached.keys() == killed, reached


_INT80 = r"""
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    if (fork() == 0) {
        long result;
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory"); /* i386 getpid */
        _exit(result > 0 ? 0 : 1);
    }
    int status;
    wait(&status);
    printf("int 0x80: %s\n", WIFEXITED(status) && !WEXITSTATUS(status) ? "DONE" : "killed");
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_calls_of_32_bit_programs_end_the_process(tier: SandboxTier, root: Path) -> None:
    (root / "attack.c").write_text(_INT80)
    build = ["cc", "-o", str(root / "workspace" / "attack"), str(root / "attack.c")]
    if subprocess.run(build, capture_output=True, check=False).returncode:  # noqa: S603 (our own program)
        pytest.skip("this processor has no such calls")
    found = jail.run(jail.plan_of(tier, root, ["./attack"]), root=root)
    assert results(found.out) == {"int 0x80": "killed"}, found
