"""Ways out by the network: only our listeners are ever reached."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.attacks.attempt import attack, done
from tests.sandbox import jail

from ringfence.domain.agent import SandboxTier


@contextmanager
def _victim() -> Iterator[tuple[int, list[str]]]:
    """A service of the host on the loopback, by TCP and UDP; what came to it."""
    heard: list[str] = []
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                for each in select.select([tcp, udp], [], [], 0.1)[0]:
                    heard.append("tcp" if each is tcp else "udp")
                    each.accept()[0].close() if each is tcp else each.recv(100)

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield port, heard
        finally:
            over.set()
            thread.join()


def test_nothing_leaves_the_strict_tier(strict_tier: SandboxTier, who: str, root: Path) -> None:
    with _victim() as (port, heard):
        found, outcome = attack(strict_tier, root, "network.py", str(port), "netlink", who=who)
    assert done(found) == set()
    refused = {name: said for name, said in found.items() if name.startswith("tcp")}
    assert set(refused.values()) == {"ECONNREFUSED"}, refused
    assert {found[name] for name in ("add a route", "remove a route", "remove the link")} == {
        "EPERM"
    }
    assert heard == []
    assert outcome.arrived == []


def test_nothing_leaves_the_reduced_tier(reduced_tier: SandboxTier, who: str, root: Path) -> None:
    with _victim() as (port, heard), socket.create_server(("127.0.0.1", 0)) as proxy:
        reachable = proxy.getsockname()[:2]
        found, outcome = attack(
            reduced_tier, root, "network.py", str(port), who=who, proxy=reachable
        )
    assert done(found) == set()
    tried = {name: said for name, said in found.items() if name.startswith("tcp")}
    assert set(tried.values()) == {"EACCES"}, tried
    assert heard == []
    wanted = {(each["address"], each["port"]) for each in outcome.connects}
    assert ("192.0.2.7", 25) in wanted  # each attempt is told of, with where it was going
    assert ("2001:db8::7", 22) in wanted
    assert not any(each["is_reachable"] or each["from"] for each in outcome.connects)


_EVERYWHERE = """
import socket
for family, host in ((2, "192.0.2.7"), (2, "169.254.169.254"), (2, "127.0.0.1"), (10, "2001:db8::7"), (10, "::1")):
    for port in (80, 443):
        with socket.socket(family) as made:
            made.settimeout(5)
            made.connect((host, port))
            made.sendall(f"to {host} {port}".encode())
            print(made.recv(100))
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.sendto(f"ask {host}".encode(), (host, 53))
    with socket.socket(family) as made:
        made.settimeout(5)
        made.connect((host, 53))
        made.sendall(f"ask {host}".encode())
        made.recv(100)
"""


def test_web_and_names_arrive_at_our_listeners_whatever_address_they_are_for(
    strict_tier: SandboxTier, who: str, root: Path
) -> None:
    plan = jail.plan_of(strict_tier, root, [jail.PYTHON, "-c", _EVERYWHERE])
    found = jail.run(plan, who=who, root=root)
    assert found.exit_code == 0, found
    web = [
        (kind, wanted, said) for kind, wanted, said, _ in found.arrived if kind in {"http", "https"}
    ]
    for host in ("192.0.2.7", "169.254.169.254", "127.0.0.1", "2001:db8::7", "::1"):
        assert ("http", host, f"to {host} 80") in web
        assert ("https", host, f"to {host} 443") in web
    names = [each for each in found.arrived if each[0] == "dns_udp"]
    assert len(names) == 5
    assert all(beside == 1 for *_, beside in names)  # the address to answer from
    assert len([each for each in found.arrived if each[0] == "dns_tcp"]) == 5


def test_an_agents_own_servers_work_inside_of_strict_alone(tier: SandboxTier, root: Path) -> None:
    program = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
    client.connect(server.getsockname())
    print("served")
"""
    found = jail.run(jail.plan_of(tier, root, [jail.PYTHON, "-c", program]), root=root)
    assert (found.out == "served\n") == (tier is SandboxTier.STRICT), found


def test_no_listener_of_ours_can_be_taken(strict_tier: SandboxTier, root: Path) -> None:
    program = """
import errno, socket
for port in (80, 443, 53, 3128, 8484):
    for reuse in (0, 2, 15):
        with socket.socket() as made:
            if reuse:
                made.setsockopt(1, reuse, 1)
            try:
                made.bind(("127.0.0.1", port))
                made.listen()
                print("DONE", port)
            except OSError as error:
                print(errno.errorcode[error.errno])
"""
    found = jail.run(jail.plan_of(strict_tier, root, [jail.PYTHON, "-c", program]), root=root)
    assert set(found.out.split()) <= {"EACCES", "EADDRINUSE"}, found
    assert len(found.out.split()) == 15
