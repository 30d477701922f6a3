import os
from pathlib import Path

import pytest
from tests.sandbox import jail
from tests.transport.kernel.child import needs_linux

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox import system_settings
from ringfence.sandbox.plan import Bind, SandboxFile

pytestmark = needs_linux


def test_what_is_shown_tells_of_no_people_and_no_secrets() -> None:
    shown = set(system_settings.shown())
    assert not shown & {
        "/etc",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/ssh",
        "/etc/sudoers",
        "/etc/ssl",
    }
    assert all(os.path.exists(path) for path in shown)  # noqa: PTH110 (text)


def test_names_are_made_for_the_agent() -> None:
    made = system_settings.made("/home/agent", 1000, 1000)
    assert made["/etc/passwd"] == b"agent:x:1000:1000:agent:/home/agent:/bin/bash\n"
    assert made["/etc/resolv.conf"].startswith(b"nameserver 127.0.0.1\n")


@pytest.mark.parametrize("who", jail.USERS)
def test_the_agent_sees_what_was_put_together_and_cannot_change_it(
    strict_tier: SandboxTier, who: str, root: Path
) -> None:
    (root / "outside" / "tool.conf").write_text("for a tool")
    plan = jail.plan_of(
        strict_tier,
        root,
        [
            "sh",
            "-c",
            "cat /etc/made/x /etc/tool.conf; umask; touch /etc/new /etc/hosts; ls -l /etc/os-release",
        ],
        files=(SandboxFile(path="/etc/made/x", content=b"made\n"),),
        read_only=(Bind(str(root / "outside" / "tool.conf"), "/etc/tool.conf"),),
    )
    found = jail.run(plan, who=who, root=root)
    assert found.out.startswith("made\nfor a tool00"), found
    assert found.err.count("Read-only file system") == 2
    assert "/etc/os-release" in found.out


def test_a_bundle_of_roots_is_replaced_where_it_is(strict_tier: SandboxTier, root: Path) -> None:
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    if not os.path.isfile(bundle):  # noqa: PTH113 (text)
        pytest.skip("this machine keeps its roots elsewhere")
    files = (SandboxFile(path=bundle, content=b"ours"),)
    plan = jail.plan_of(strict_tier, root, ["cat", bundle], files=files)
    assert jail.run(plan, root=root).out == "ours"
