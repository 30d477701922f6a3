import socket
import threading
from pathlib import Path

import pytest
from tests.sandbox import jail
from tests.transport.kernel.child import needs_linux

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UsageError
from ringfence.sandbox import reduced
from ringfence.sandbox.plan import Bind, SandboxFile
from ringfence.transport.kernel import landlock

pytestmark = needs_linux


def test_a_command_runs_with_a_home_of_its_own(
    reduced_tier: SandboxTier, who: str, root: Path
) -> None:
    script = "cat $HOME/.settings; echo $TMPDIR; mktemp; echo made > file; exit 7"
    plan = jail.plan_of(
        reduced_tier,
        root,
        ["sh", "-c", script],
        files=(SandboxFile(path=f"{root}/home/.settings", content=b"set\n"),),
    )
    found = jail.run(plan, who=who, root=root)
    assert found.exit_code == 7, found
    settings, temporary, made = found.out.splitlines()
    assert (settings, temporary) == ("set", f"{root}/home/tmp")
    assert made.startswith(f"{root}/home/tmp/")
    assert (root / "workspace" / "file").read_text() == "made\n"


_CONNECT = """
import socket, sys
for port in map(int, sys.argv[1:]):
    s = socket.socket(socket.AF_INET6 if port < 0 else socket.AF_INET)
    s.settimeout(2)
    try:
        s.connect(("::ffff:127.0.0.1" if port < 0 else "127.0.0.1", abs(port)))
        print(s.recv(10).decode())
    except OSError as error:
        print("refused", error.errno)
"""


def test_only_the_planes_listeners_can_be_reached(
    reduced_tier: SandboxTier, who: str, root: Path
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as proxy,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        peers: list[int] = []

        def serve() -> None:
            for _ in range(2):
                taken, peer = proxy.accept()
                peers.append(peer[1])
                taken.sendall(b"proxy")
                taken.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port, closed = proxy.getsockname()[1], other.getsockname()[1]
        plan = jail.plan_of(
            reduced_tier,
            root,
            [jail.PYTHON, "-c", _CONNECT, str(port), str(closed), str(-port)],
            proxy=("127.0.0.1", port),
        )
        found = jail.run(plan, who=who, root=root)
        thread.join(60)
        assert found.out.split("\n")[:3] == ["proxy", "refused 13", "proxy"], found
        assert [each["from"] for each in found.connects] == [peers[0], 0, peers[1]]
        assert [each["port"] for each in found.connects] == [port, closed, port]
        other.settimeout(0)
        with pytest.raises(BlockingIOError):
            other.accept()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"read_only": (Bind("/usr/share", "/elsewhere"),)}, "cannot be shown at"),
        ({"files": (SandboxFile(path="/etc/x", content=b""),)}, "cannot be made"),
        ({"hidden": (".env",)}, "cannot be hidden"),
    ],
)
def test_what_only_strict_can_do_is_refused(
    tmp_path: Path, more: dict[str, object], words: str
) -> None:
    plan = jail.plan_of(SandboxTier.REDUCED, tmp_path.resolve(), ["true"], **more)
    with pytest.raises(UsageError) as caught:
        reduced.prepare(plan)
    assert words in caught.value.message
    assert "sandbox: strict" in caught.value.help


@pytest.mark.parametrize(("abi", "able"), [(5, {"ordinary"}), (2, set[str]())])
def test_a_landlock_that_does_not_keep_signals_is_too_old_for_root(
    reduced_tier: SandboxTier,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    abi: int,
    able: set[str],
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: abi)
    for who in jail.USERS:
        found = jail.run(jail.plan_of(reduced_tier, root, ["true"]), who=who, root=root)
        assert (found.exit_code == 0) == (who in able), found
        assert who in able or "landlock" in found.message
